package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestCheckDocument(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	objects := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	good := []string{
		`null`, `true`, `false`, `0`, `-0`, `-1.5e+10`, `""`, `[]`, `{}`, " \t\r\n[ 1 , 2 ]\n",
		`{"a":{"a":1},"b":{"a":1}}`, `[{"a":1},{"a":1}]`, `{"a":1,"A":2}`, `{"":1}`,
		`"\"\\\/\b\f\n\r\t\u0001\uFFFF"`, `"\ud83d\ude00"`, `"héllo 世界 😀"`, "\"\u007f\ufffd\"",
		`{"a":1,"\u0062":2}`, `{"\u00e9":1,"e":2}`, `{"a":[{"b":{"c":[]}}],"d":1}`,
		`1.7976931348623157e308`, `1e-400`, `12345678901234567890`, "0." + strings.Repeat("1", maxNumber-2),
		nested(maxDepth), objects(maxDepth),
	}
	bad := []string{
		``, ` `, `nul`, `nulll`, `True`, `1 2`, `{} {}`, `,`, `[1,]`, `[,1]`, `[1 2]`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`,
		`{a:1}`, `{'a':1}`, `{1:1}`,
		`[`, `]`, `{`, `}`, `[}`, `{]`, `[1`, `{"a"`, `{"a":`, `{"a":1`, `"`, `"a`, `"\`, `"\"`, `"\x"`, `"\u"`, `"\u12"`,
		`"\u12g4"`,
		`01`, `-`, `+1`, `.5`, `1.`, `1.e1`, `1e`, `1e+`, `--1`, `0x1`, `NaN`, `Infinity`, `/**/1`, `1//`,
		"\"\n\"", "\"\x1f\"", "\"\t\"", "\x00", "1\x00", "\"\x00\"", `"\u0000"`, "\"12345678\x00\"",
		"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe4\xb8\"", "\"\xe4", "\ufeff1",
		"\u00a01",
		`"\ud800"`, `"\udc00"`, `"\ud800\ud800"`, `"\ud800x"`, `"\ud800\u12"`, `"\ud800\`, `"\ud83d\n"`,
		`{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"\u0061":1,"\u0061":2}`, `{"x":{"a":1,"b":1,"a":2}}`, `[[{"a":1,"a":1}]]`,
		`{"😀":1,"\ud83d\ude00":2}`, `{"\/":1,"/":2}`, `{"\n":1,"\u000a":2}`, `{"":1,"":2}`, `{"\u00E9":1,"é":2}`,
		`{"a":{"b":1,"c":1},"a":2}`,
		`1e309`, `-1e309`, `1e99999999999999999999`, strings.Repeat("9", 400), "0." + strings.Repeat("1", maxNumber-1),
		nested(maxDepth + 1), objects(maxDepth + 1), strings.Repeat("[", 1_000_000), strings.Repeat(`{"a":`, 1_000_000),
	}
	for _, doc := range good {
		if err := CheckDocument([]byte(doc)); err != nil {
			t.Errorf("%.80q refused", doc)
		}
	}
	for _, doc := range bad {
		if err := CheckDocument([]byte(doc)); !errors.Is(err, ErrDocument) {
			t.Errorf("%.80q: error %v, want ErrDocument", doc, err)
		}
	}
}

// Each byte value in a string, at each of the eight places that are examined together.
func TestCheckDocumentStringBytes(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for at := range 20 {
			doc := []byte(`"` + strings.Repeat("x", 20) + `"`)
			doc[1+at] = byte(c)
			want := json.Valid(doc) && utf8.Valid(doc)
			if got := CheckDocument(doc) == nil; got != want {
				t.Errorf("%q: %v, want %v", doc, got, want)
			}
		}
	}
}

// object returns an object with n members. The last has the name of the one at place.
func object(n, again int) []byte {
	b := []byte{'{'}
	for i := range n {
		if i == n-1 && again >= 0 {
			i = again
		}
		b = fmt.Appendf(b, `"member %d":%d,`, i*7919%n, i)
	}
	b[len(b)-1] = '}'
	return b
}

func TestCheckDocumentManyMembers(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 15, 16, 17, 18, 31, 32, 33, 34, 500} {
		if CheckDocument(object(n, -1)) != nil {
			t.Errorf("%d members refused", n)
		}
		for _, again := range []int{0, (n - 2) / 2, n - 2} {
			if CheckDocument(object(n, again)) == nil {
				t.Errorf("%d members, the last as member %d: not refused", n, again)
			}
		}
	}
}

// An object has a largest number of members. Names of the objects around it count while those are
// open.
func TestCheckDocumentTooManyMembers(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]error{
		string(object(maxNames, -1)):                                        nil,
		string(object(maxNames+1, -1)):                                      ErrDocument,
		`{"outer":` + string(object(maxNames, -1)) + `}`:                    ErrDocument,
		`{"outer":` + string(object(maxNames-1, -1)) + `}`:                  nil,
		"[" + strings.Repeat(`{"a":1,"b":2},`, maxNames) + `{"a":1,"b":2}]`: nil,
	} {
		if err := CheckDocument([]byte(doc)); !errors.Is(err, want) {
			t.Errorf("%.40q, %d bytes: %v, want %v", doc, len(doc), err, want)
		}
	}
}

// Escaped names with a common beginning cost not much more than the same strings that are not
// names.
func TestCheckDocumentOfEscapedNames(t *testing.T) {
	t.Parallel()
	for what, prefix := range map[string]string{"plain and an escape": "a", "escapes alone": `\/`, "runes": "é"} {
		for _, n := range []int{2, fewNames, fewNames + 1, 300, 4000} {
			long := strings.Repeat(prefix, (1<<20/n-12)/len(prefix))
			var object, array bytes.Buffer
			for i := range n {
				name := fmt.Sprintf(`"%s\n%06d"`, long, i*7919%n)
				fmt.Fprintf(&object, `,%s:1`, name)
				fmt.Fprintf(&array, `,%s,1`, name)
			}
			names, strings := time.Hour, time.Hour
			for range 5 {
				strings = min(strings, costOf(t, "["+array.String()[1:]+"]"))
			}
			for tries := 20; tries > 0 && names > 20*strings; tries-- { // the machine may be busy for a moment
				names = min(names, costOf(t, "{"+object.String()[1:]+"}"))
			}
			if names > 20*strings {
				t.Errorf("%s: %d names take %v, as strings %v", what, n, names, strings)
			}
			t.Logf("%s: %d names take %v, as strings %v", what, n, names, strings)
		}
	}
}

// costOf returns how long a document takes.
func costOf(t *testing.T, doc string) time.Duration {
	t.Helper()
	b, began := []byte(doc), time.Now()
	if err := CheckDocument(b); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestCheckDocumentAllocs(t *testing.T) {
	doc := object(32, -1)
	if n := testing.AllocsPerRun(100, func() { _ = CheckDocument(doc) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// strict decides with encoding/json alone whether CheckDocument should accept doc.
func strict(doc []byte) bool {
	if !json.Valid(doc) || !utf8.Valid(doc) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var names []map[string]bool // of the open objects; nil for an array
	name := false               // a member's name is next
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false
		}
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{':
				names = append(names, map[string]bool{})
			case '[':
				names = append(names, nil)
			default:
				names = names[:len(names)-1]
			}
			if len(names) > maxDepth {
				return false
			}
		case string:
			if strings.ContainsRune(v, 0) {
				return false
			}
			if name {
				if names[len(names)-1][v] {
					return false
				}
				names[len(names)-1][v] = true
				name = false
				continue
			}
		case json.Number:
			if _, err := v.Float64(); err != nil || len(v) > maxNumber {
				return false
			}
		}
		name = len(names) > 0 && names[len(names)-1] != nil
	}
}

func FuzzCheckDocument(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e-3,true,null],"b":{"\u0061":"\ud83d\ude00"}}`, `{"a":1,"\u0061":2}`, `"\ud800"`, `1e309`,
		"\"\\u0000\xff\"", ` [ { } ] `,
		string(object(40, -1)), string(object(40, 3)), strings.Repeat("[", 200),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, want := CheckDocument(doc) == nil, strict(doc)
		// encoding/json reads every lone surrogate as U+FFFD and so cannot tell.
		if got != want && (!want || !bytes.Contains(bytes.ToLower(doc), []byte(`\ud`))) {
			t.Errorf("%q: accepted %v, want %v", doc, got, want)
		}
		// White space between tokens changes nothing.
		if got {
			var pretty bytes.Buffer
			if json.Indent(&pretty, doc, "\r", "\t ") != nil || CheckDocument(pretty.Bytes()) != nil {
				t.Errorf("%q accepted, and not when indented: %q", doc, pretty.Bytes())
			}
		}
	})
}

func BenchmarkCheckDocument(b *testing.B) {
	docs := map[string][]byte{
		"chat": []byte(`{"type":"say","from":{"id":"7f000001-0b54-0000-0001","name":"Ann"},"room":"lobby",` +
			`"to":"all","text":"Hello there, how are you today? Fine, thanks.",` +
			`"time":1764000000123,"seq":42,"ok":true}`),
		"chinese": []byte(`{"type":"say","text":"` + strings.Repeat("你好，世界", 20) + `"}`),
		"members": object(1000, -1),
		"escaped": []byte(`{"text":"` + strings.Repeat(`\u4f60\n`, 50) + `"}`),
	}
	for _, name := range []string{"chat", "chinese", "members", "escaped"} {
		doc := docs[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				if CheckDocument(doc) != nil {
					b.Fatal("refused")
				}
			}
		})
		b.Run(name+"/std", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				json.Valid(doc)
			}
		})
	}
}
