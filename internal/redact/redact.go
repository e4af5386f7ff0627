// Package redact removes credentials from texts of other programs, such as the errors of
// database drivers and HTTP clients.
package redact

import (
	"regexp"
	"strings"
	"unicode"
)

// mask replaces what is removed.
const mask = "xxxxx"

// maxText is how much of a text is read, in bytes.
const maxText = 16 << 10

// value is what follows the name of a secret: quoted, in brackets, or up to the next space.
const value = `(?:\\*"(?:[^"\\]|\\.)*"?\S*|'(?:[^'\\]|\\.)*'?\S*|\[[^\]]*\]?\S*|(?i:(?:bearer|basic|token)\s+)?\S+)`

var rules = []struct {
	find    *regexp.Regexp
	replace string
}{
	// https://user:password@host/path?query#fragment. A password may have a slash.
	{regexp.MustCompile(`(\w://)\S*@`), "${1}" + mask + "@"},
	{regexp.MustCompile(`(\w://[^\s?#]*)[?#][^\s"'<>]*`), "${1}?" + mask},
	// user:password@tcp(host:3306)/database. What has a scheme was replaced before.
	{regexp.MustCompile(`(^|\s|["'(\[{<=,])[^\s/"'(\[{<=,@:]+:(?:[^\s/]\S*|/[^\s/]\S*)?@`), "${1}" + mask + "@"},
	// Headers that hold nothing else, up to the end of the line.
	{regexp.MustCompile(`(?i)((?:authorization|cookie)\\*["']?\s*[=:]\s*)\S.*`), "${1}" + mask},
	// name=value, name: value, "name":"value".
	{regexp.MustCompile(`(?i)((?:password|passphrase|passwd|pass|pwd|pw|secret|token|credentials?|signature|` +
		`(?:api|access|account|auth|encryption|master|private|secret|shared|signing)[_-]?key)\d*\\*["']?\s*[=:]\s*)` + value), "${1}" + mask},
	// name "value".
	{regexp.MustCompile(`(?i)((?:password|passphrase|passwd|secret|token|api[_ -]?key)\s+)(?:\\*"[^"]*"|'[^']*')`), "${1}" + mask},
	// The command of Redis, and credentials of HTTP without the name of their header.
	{regexp.MustCompile(`(\bAUTH\s+)\S+(?: \S+)?`), "${1}" + mask},
	{regexp.MustCompile(`(?i)(\bbearer\s+)\S+`), "${1}" + mask},
	{regexp.MustCompile(`(?i)(\bbasic\s+)[A-Za-z0-9+/_-]{8,}=*`), "${1}" + mask},
	// Keys of well-known forms, and JSON web tokens.
	{keys, mask},
}

// Text returns a text without the credentials that it finds: user information, queries and
// fragments of URLs and connection strings, the values of names such as password, token and
// api_key, the headers Authorization and Cookie, and keys of well-known forms. It rather
// removes too much than too little, but cannot find a secret that nothing identifies. It
// reads 16 KiB, and drops the rest.
func Text(s string) string {
	if len(s) > maxText { // without the word that is cut, which may be a part of a secret
		s = s[:maxText]
		s = strings.TrimRightFunc(s, func(r rune) bool { return !unicode.IsSpace(r) }) + "..."
	}
	for _, r := range rules {
		s = r.find.ReplaceAllString(s, r.replace)
	}
	return s
}
