package jwtauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-7410fe32/sluice/gateway"
)

// maxUID is the size of the largest uid, in bytes.
const maxUID = 1024

// identity makes the Identity of the claims of a valid token.
func (a *Authenticator) identity(claims jwt.MapClaims) (id gateway.Identity, err error) {
	if id.UID, err = uidOf(claims[a.cfg.UIDClaim]); err != nil {
		return id, fmt.Errorf("claim %s of the token: %w", a.cfg.UIDClaim, err)
	}
	for attr, claim := range a.cfg.Attributes {
		value, ok := claims[claim]
		if !ok {
			continue
		}
		if id.Attrs == nil {
			id.Attrs = make(map[string]string, len(a.cfg.Attributes))
		}
		if id.Attrs[attr], err = textOf(value); err != nil {
			return id, fmt.Errorf("claim %s of the token: %w", claim, err)
		}
	}
	expires, err := claims.GetExpirationTime()
	if err != nil {
		return id, err
	}
	if expires != nil {
		id.Expires = expires.Add(a.cfg.Leeway)
	}
	return id, nil
}

// uidOf returns a claim as a uid.
func uidOf(value any) (string, error) {
	var uid string
	switch v := value.(type) {
	case string:
		uid = v
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		if err != nil {
			return "", errors.New("must be a string or a whole number")
		}
		uid = strconv.FormatInt(n, 10)
	case nil:
		return "", errors.New("is missing")
	default:
		return "", errors.New("must be a string or a whole number")
	}
	if uid == "" || len(uid) > maxUID {
		return "", fmt.Errorf("%d bytes: must be between 1 and %d", len(uid), maxUID)
	}
	return uid, nil
}

// textOf returns a claim as the value of an attribute.
func textOf(value any) (string, error) {
	if s, ok := value.(string); ok {
		return s, nil
	}
	b, err := json.Marshal(value)
	return string(b), err
}
