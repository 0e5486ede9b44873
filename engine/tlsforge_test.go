package engine

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

// forger writes records on a client's connection that package crypto/tls does not write. The client
// reads as usual, and must write nothing itself.
type forger struct {
	*tls.Conn
	raw     *chopper
	version uint16
	secret  []byte // of TLS 1.3, for the client's records
	aead    cipher.AEAD
	iv      []byte
	seq     uint64
}

// forge connects a client of one of the versions, with AES-128-GCM and SHA-256.
func (s *secured) forge(t testing.TB, version uint16) *forger {
	t.Helper()
	var secrets bytes.Buffer
	c := s.client()
	c.MaxVersion, c.KeyLogWriter = version, &secrets
	c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	raw := &chopper{Conn: dial(t, s.ln)}
	seen := &recorder{chopper: raw}
	nc := tls.Client(seen, c)
	if err := nc.Handshake(); err != nil {
		t.Fatal(err)
	}
	f := &forger{Conn: nc, raw: raw, version: version}
	if version == tls.VersionTLS13 {
		if suite := nc.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
			t.Skip("the cipher suite is another one:", tls.CipherSuiteName(suite))
		}
		f.useSecret(t, logged(t, secrets.String(), "CLIENT_TRAFFIC_SECRET_0 "))
		return f
	}
	// RFC 5246 section 6.3. A ServerHello has its random after the headers and the version.
	seed := append(append([]byte("key expansion"), seen.read[11:43]...), seen.written[11:43]...)
	keys := expand12(logged(t, secrets.String(), "CLIENT_RANDOM "), seed, 40)
	f.setKey(t, keys[:16], keys[32:36])
	f.seq = 1 // after Finished
	return f
}

// recorder keeps the first bytes of both directions.
type recorder struct {
	*chopper
	read, written []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.chopper.Read(p)
	if len(r.read) < 64 {
		r.read = append(r.read, p[:n]...)
	}
	return n, err
}

func (r *recorder) Write(p []byte) (int, error) {
	if len(r.written) < 64 {
		r.written = append(r.written, p...)
	}
	return r.chopper.Write(p)
}

// logged returns the last field of the line of a key log that begins with label.
func logged(t testing.TB, log, label string) []byte {
	t.Helper()
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, label) {
			fields := strings.Fields(line)
			secret, err := hex.DecodeString(fields[len(fields)-1])
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
	}
	t.Fatalf("no line %q in the key log", label)
	return nil
}

// expand12 is P_SHA256 of RFC 5246 section 5.
func expand12(secret, seed []byte, n int) (out []byte) {
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	for a := mac(seed); len(out) < n; a = mac(a) {
		out = append(out, mac(a, seed)...)
	}
	return out[:n]
}

// expand13 is HKDF-Expand-Label of RFC 8446 section 7.1.
func expand13(t testing.TB, secret []byte, label string, n int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := append([]byte{0, byte(n), byte(len(label))}, label...)
	out, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *forger) useSecret(t testing.TB, secret []byte) {
	t.Helper()
	f.secret, f.seq = secret, 0
	f.setKey(t, expand13(t, secret, "key", 16), expand13(t, secret, "iv", 12))
}

func (f *forger) setKey(t testing.TB, key, iv []byte) {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	if f.aead, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	f.iv = iv
}

// record returns a record of the given type.
func (f *forger) record(kind byte, data []byte) []byte {
	seq := binary.BigEndian.AppendUint64(nil, f.seq)
	f.seq++
	if f.version == tls.VersionTLS12 {
		record := []byte{kind, 3, 3, 0, byte(8 + len(data) + 16)}
		additional := append(append([]byte{}, seq...), kind, 3, 3, 0, byte(len(data)))
		record = append(record, seq...)
		return f.aead.Seal(record, append(append([]byte{}, f.iv...), seq...), data, additional)
	}
	nonce := append([]byte{}, f.iv...)
	for i, b := range seq {
		nonce[4+i] ^= b
	}
	header := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(data)+1+16))
	return f.aead.Seal(header, nonce, append(append([]byte{}, data...), kind), header)
}

// update returns a KeyUpdate message (RFC 8446 section 4.6.3) that asks for an answer. Later
// records have the next key.
func (f *forger) update(t testing.TB) []byte {
	t.Helper()
	record := f.record(22, []byte{24, 0, 0, 1, 1})
	f.useSecret(t, expand13(t, f.secret, "traffic upd", 32))
	return record
}

// The records of a forger are valid.
func TestForger(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version uint16) {
		s := serveTLS(t, funcs{data: echo}, ListenOptions{})
		f := s.forge(t, version)
		for range 3 {
			f.raw.send(t, f.record(23, []byte("forged")))
			got := make([]byte, 6)
			if _, err := io.ReadFull(f, got); err != nil || string(got) != "forged" {
				t.Fatalf("%q, %v", got, err)
			}
		}
	})
}
