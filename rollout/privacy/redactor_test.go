package privacy_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout/privacy"
)

func redactor(t testing.TB, c privacy.Config) *privacy.Redactor {
	t.Helper()
	r, err := privacy.NewRedactor(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// key is a private key as ssh-keygen writes it, shortened.
const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\nQyNTUxOQAAACDxT2ZQ==\n-----END OPENSSH PRIVATE KEY-----"

// token is a JSON web token.
const token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

// fixtures are texts and what becomes of them.
var fixtures = []struct{ name, text, want string }{
	{"empty", "", ""},
	{"clean", "The quick brown fox jumps over the lazy dog. 42, 3.14, 2026-11-29 12:30:45.", ""},
	{"mail", "Write to alice@example.com, please.", "Write to [EMAIL], please."},
	{"mail at the end", "alice.b+c_d%e@mail.example.co.uk", "[EMAIL]"},
	{"mail at the end of a sentence", "It is alice@example.com. Then", "It is [EMAIL]. Then"},
	{"mail in a URL", "https://x.example/?to=alice%40example.com&b=1", "https://x.example/?to=[EMAIL]&b=1"},
	{"mail in quotes", `{"a":"alice@example.com"}`, `{"a":"[EMAIL]"}`},
	{"mail with letters", "an jürgen@müller.de und", "an [EMAIL] und"},
	{"mails", "a@example.com b@example.com c@example.com", "[EMAIL] [EMAIL] [EMAIL]"},
	{"mails without a space", "a@example.com,b@example.com;c@example.com", "[EMAIL],[EMAIL];[EMAIL]"},
	{"mail after emoji", "🐦🐦alice@example.com🐦", "🐦🐦[EMAIL]🐦"},
	{"mail before a hyphen", "alice@example.com-x alice@example.com_x", "[EMAIL]-x [EMAIL]_x"},
	{"mail in a language without spaces", "请联系alice@example.com谢谢", "请联系[EMAIL]谢谢"},
	{"no mail", "a@b @alice pkg@1.2.3 x@ @y.com 5 @ 3.00", ""},
	{"long local part", strings.Repeat("x", 70) + "@example.com", strings.Repeat("x", 6) + "[EMAIL]"},
	{"chain", "a@b.com@c.com", "[EMAIL]"},
	{"card", "4111111111111111", "[CARD]"},
	{"cards", "4151 3217 6243 3448, 6011577631711174 and 30569309025904; 3782-822463-10005.", "[CARD], [CARD] and [CARD]; [CARD]."},
	{"card and more numbers", "4111 1111 1111 1111 2027 123", "[CARD] 2027 123"},
	{"number and card", "12 4111111111111111", "12 [CARD]"},
	{"no card", "4111111111111112 1234567890123456 0000000000000000 79927398713 3.4111111111111111 a4111111111111111 41111111111111112222", ""},
	{"card as a user", "4111111111111111@example.com", "[EMAIL]"},
	{"iban", "GB82 WEST 1234 5698 7654 32 and DE89370400440532013000 or FR1420041010050500013M02606.", "[IBAN] and [IBAN] or [IBAN]."},
	{"iban in lower case", "de89 3704 0044 0532 0130 00", "[IBAN]"},
	{"no iban", "GB82 WEST 1234 5698 7654 33 XX89370400440532013000 DE8937040044053201300", ""},
	{"phone", "Call +43 1 5880158 or +49 (0)30 901820, +1 212-555-0100; +447911123456.", "Call [PHONE] or [PHONE], [PHONE]; [PHONE]."},
	{"no phone", "1+12345678 +12 +00 123456789 a+4915112345679 +2 8 +9999999999999999999", ""},
	{"ip", "from 10.0.0.5:8443 to 192.168.1.254, 2001:db8::1 and [fe80::1ff:fe23:4567:890a].", "from [IP]:8443 to [IP], [IP] and [[IP]]."},
	{"mapped ip", "::ffff:192.0.2.1", "[IP]"},
	{"no ip", "127.0.0.1 0.0.0.0 ::1 :: std::vector 1.2.3 1.2.3.4.5 256.1.1.1 v1.2.3.4 12:30:45", ""},
	{"mac", "00:1b:44:11:3a:b7 or 00-1B-44-11-3A-B7", "[MAC] or [MAC]"},
	{"no mac", "00:1b:44:11:3a 00:1b:44:11:3a:b7:00 zz:1b:44:11:3a:b7", ""},
	{"ssn", "SSN 219-09-9999.", "SSN [SSN]."},
	{"no ssn", "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000 1123-45-6789 123-45-67890", ""},
	{"url", "postgres://app:hunter2@db.example:5432/x and https://example.com/@alice", "postgres://[CREDENTIALS]@db.example:5432/x and https://example.com/@alice"},
	{"basic", "Authorization: Basic dXNlcjpwYXNzd29yZA== and basic information", "Authorization: Basic [CREDENTIALS] and basic information"},
	{"bearer", "Authorization: Bearer mF_9.B5f-4.1JqM. The bearer of bad news, Bearer authentication", "Authorization: Bearer [TOKEN]. The bearer of bad news, Bearer authentication"},
	{"jwt", "cookie=" + token + "; x", "cookie=[TOKEN]; x"},
	{"jwt at the end of a sentence", "It is " + token + "... So", "It is [TOKEN]... So"},
	{"keys", "sk-proj-abcdefghijklmnop1234 ghp_16C7e42F292c6912E7710c838347Ae178B4a AKIAIOSFODNN7EXAMPLE xoxb-123456789012-abc", "[KEY] [KEY] [KEY] [KEY]"},
	{"long key", "a sk-" + strings.Repeat("a1B2", 300) + " b", "a [KEY] b"},
	{"no key", "task-force sk-short AKIA disk-usage-of-the-whole-machine", ""},
	{"private key", "a " + key + " b", "a [PRIVATE KEY] b"},
	{"private key in JSON", `"` + strings.ReplaceAll(key, "\n", `\n`) + `"`, `"[PRIVATE KEY]"`},
	{"private key of PGP", "a -----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v1.4.11 (GNU/Linux)\n\nlQOYBFSECRET\n-----END PGP PRIVATE KEY BLOCK----- b", "a [PRIVATE KEY] b"},
	{"private key in code", "k = (\"-----BEGIN PRIVATE KEY-----\\n\"\n  \"MIIEvSECRET\\n\"\n  \"-----END PRIVATE KEY-----\")", "k = (\"[PRIVATE KEY]\")"},
	{"private key in a quotation", "> -----BEGIN PRIVATE KEY-----\n> MIIEvSECRET\n> -----END PRIVATE KEY-----\nbye", "> [PRIVATE KEY]\nbye"},
	{"long credentials", "login https://oauth2accesstoken:ya29." + strings.Repeat("aB3", 100) + "@gcr.io/x now", "login https://[CREDENTIALS]/x now"},
	{"long text after a URL", "见https://example.com，" + strings.Repeat("中文", 40), ""},
	{"JSON in a text", "```json\n" + `{"p":"a\n+49 151 23456789","m":"\talice\u0040example.com","c":"\u00204111 1111 1111 1111","i":"\f10.0.0.5","k":"\u000ask-proj-abcdefghijklmnop1234"}` + "\n```",
		"```json\n" + `{"p":"a\n[PHONE]","m":"\t[EMAIL]","c":"\u0020[CARD]","i":"\f[IP]","k":"\u000a[KEY]"}` + "\n```"},
	{"JSON in JSON", `"{\"to\":\"\\nalice\\u0040example.com\"}"`, `"{\"to\":\"\\n[EMAIL]\"}"`},
	{"public key", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----", ""},
	{"key as a user", "sk-abcdefghijklmnopqrst@example.com", "[KEY]@example.com"},
	{"many kinds", "+4915112345678 alice@example.com 10.1.2.3 DE89370400440532013000 4111111111111111", "[PHONE] [EMAIL] [IP] [IBAN] [CARD]"},
	{"private key without an end", key[:100] + `"} and more`, `[PRIVATE KEY]`},
	{"not UTF-8", "\xff\xfealice@example.com\xc3", "\xff\xfe[EMAIL]\xc3"},
}

func TestRedact(t *testing.T) {
	r := redactor(t, privacy.Config{})
	for _, f := range fixtures {
		want := f.want
		if want == "" {
			want = f.text
		}
		if got := string(r.Redact(nil, []byte(f.text))); got != want {
			t.Errorf("%s:\n got %q\nwant %q", f.name, got, want)
		}
		if got := r.Text(f.text); got != want {
			t.Errorf("%s: Text: %q", f.name, got)
		}
	}
}

// cut redacts a text in pieces that end at the given offsets.
func cut(s *privacy.Stream, text string, at ...int) string {
	var out []byte
	from := 0
	for _, to := range append(at, len(text)) {
		out = s.Append(out, []byte(text[from:to]))
		from = to
	}
	return string(s.Flush(out))
}

// TestStreamCutAnywhere: where a text is cut makes no difference.
func TestStreamCutAnywhere(t *testing.T) {
	r := redactor(t, privacy.Config{})
	s := r.Stream()
	var all strings.Builder
	for _, f := range fixtures {
		for _, before := range []string{"", "🐦", "x ", "é", "1"} {
			text := before + f.text + before
			want := r.Text(text)
			for i := range len(text) + 1 {
				if got := cut(s, text, i); got != want {
					t.Fatalf("%s, cut at %d:\n got %q\nwant %q", f.name, i, got, want)
				}
				if j := min(i+3, len(text)); cut(s, text, i, j) != want {
					t.Fatalf("%s, cut at %d and %d", f.name, i, j)
				}
			}
			var each []int
			for i := range len(text) {
				each = append(each, i)
			}
			if got := cut(s, text, each...); got != want {
				t.Fatalf("%s, byte by byte:\n got %q\nwant %q", f.name, got, want)
			}
		}
		fmt.Fprint(&all, f.text, " ")
	}
	text := all.String()
	want := r.Text(text)
	for i := range len(text) {
		if got := cut(s, text, i); got != want {
			t.Fatalf("all fixtures, cut at %d", i)
		}
	}
}

// TestStreamHoldsBackLittle: at most 256 bytes, and nothing after a space.
func TestStreamHoldsBackLittle(t *testing.T) {
	r := redactor(t, privacy.Config{})
	for _, f := range fixtures {
		s := r.Stream()
		in, out := 0, 0
		for i := range len(f.text) {
			in++
			out += len(s.Append(nil, []byte(f.text[i:i+1])))
			if held := privacy.Held(s); held > 256 {
				t.Fatalf("%s: %d bytes are held back after %d", f.name, held, i+1)
			}
		}
	}
	s := r.Stream()
	if got := string(s.Append(nil, []byte("Hello to all of you, "))); got != "Hello to all of you, " {
		t.Errorf("%q", got)
	}
}

func FuzzStream(f *testing.F) {
	for _, x := range fixtures {
		f.Add([]byte(x.text), uint16(len(x.text)/2), uint16(3))
	}
	f.Add([]byte(strings.Repeat("4111111111111111-", 20)+"@a.bc"), uint16(100), uint16(200))
	r := redactor(f, privacy.Config{Detectors: []privacy.Detector{{Kind: "customer", Prefix: "C#", Of: "0123456789", Min: 4, Max: 8}}})
	f.Fuzz(func(t *testing.T, text []byte, a, b uint16) {
		want := r.Redact(nil, text)
		i := int(a) % (len(text) + 1)
		j := i + int(b)%(len(text)-i+1)
		s := r.Stream()
		got := s.Append(nil, text[:i])
		got = s.Append(got, text[i:j])
		held := privacy.Held(s)
		got = s.Flush(s.Append(got, text[j:]))
		if !bytes.Equal(got, want) {
			t.Fatalf("cut at %d and %d of %q:\n got %q\nwant %q", i, j, text, got, want)
		}
		if held > 256 {
			t.Fatalf("%d bytes are held back of %q", held, text[:j])
		}
		for _, found := range r.Find(text) {
			if found.Start >= found.End || found.End > len(text) {
				t.Fatalf("%v in %q", found, text)
			}
		}
	})
}
