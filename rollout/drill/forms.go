package drill

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"unicode/utf16"
)

// forms returns a text in the forms in which it may be stored: as it is, escaped in JSON and
// in URLs, in hexadecimal digits, in base64 at each of the three offsets, and in UTF-16.
func forms(text string) []string {
	all := []string{text, hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text)))}
	if escaped, err := json.Marshal(text); err == nil {
		all = append(all, string(escaped[1:len(escaped)-1]))
	}
	all = append(all, url.QueryEscape(text), url.PathEscape(text))
	for offset := range 3 {
		padded := append(make([]byte, offset), text...)
		padded = padded[:len(padded)-len(padded)%3] // whole groups depend on the text alone
		skip := 0
		if offset > 0 {
			skip = 4
		}
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			all = append(all, encoding.EncodeToString(padded)[skip:])
		}
	}
	var little, big []byte
	for _, u := range utf16.Encode([]rune(text)) {
		little, big = append(little, byte(u), byte(u>>8)), append(big, byte(u>>8), byte(u))
	}
	all = append(all, string(little), string(big))
	kept := all[:0]
	for _, form := range all {
		if len(form) >= 6 { // shorter ones are there by chance
			kept = append(kept, form)
		}
	}
	return kept
}

func containsAny(s string, forms []string) bool {
	for _, form := range forms {
		if strings.Contains(s, form) {
			return true
		}
	}
	return false
}
