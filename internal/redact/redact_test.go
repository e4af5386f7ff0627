package redact_test

import (
	"strings"
	"testing"

	"github.com/serin-go/serin/internal/redact"
)

func TestText(t *testing.T) {
	for _, s := range []string{
		"dial app:hunter2@tcp(db:3306)/x: refused",
		"app:hun/ter2@tcp(db:3306)/x",
		"(app:hunter2@tcp(db:3306)/x)",
		`parse "postgres://u:hun/ter2@db": invalid port`,
		`parse "postgres://u:hun"ter2@db": invalid port`,
		"dial redis://:hunter2@10.0.0.1/0",
		"GET https://h/x?q=hunter2: 500",
		"GET https://h/x#hunter2: 500",
		`failed to parse Location header "http://u:hunter2@[bad/?token=hunter2": missing ']' in host`,
		"postgres://db/x?sslpassword=hunter2",
		`{"password":"hunter2"}`, `{"password": "hunter2"}`, `"{\"password\":\"hunter2\"}"`, `{"password":"a\"hunter2"}`,
		"password: hunter2", "password = hunter2", "PGPASSWORD=hunter2", "password='a hunter2'", `password='a\'hunter2'`, "password=a;hunter2",
		"pass=hunter2", "DB_PASS: hunter2", "pwd=hunter2", "password2=hunter2",
		"api_key=hunter2", "X-Api-Key: hunter2", "apikey:hunter2", "AccountKey=hunter2", "client_secret=hunter2", "accessToken: hunter2",
		"map[X-Api-Key:[a hunter2]]",
		`invalid password "hunter2"`, `unknown token 'hunter2'`,
		"Authorization: Bearer hunter2", "authorization=hunter2 x", `"Authorization":"Basic aHVudGVyMg== hunter2"`, "map[Authorization:[Bearer hunter2]]",
		"Cookie: a=b; c=hunter2", "Set-Cookie: a=hunter2",
		"Bearer hunter2", "bearer hunter2", "Basic aHVudGVyMg==",
		"redis: AUTH hunter2 failed", "redis: AUTH default hunter2",
		"key sk-proj-hunter2", "eyJhbGciOiJIUzI1NiJ9.hunter2.hunter2",
		strings.Repeat("x", 16<<10-8) + " u:hunter2@host",
		strings.Repeat("x", 16<<10-11) + " //u:hunter2@host",
	} {
		got := redact.Text(s)
		for _, secret := range []string{"hunter2", "ter2", "aHVudGVy", "hunter"} {
			if strings.Contains(got, secret) {
				t.Errorf("%.100q: %.100q", s, got)
			}
		}
	}
}

// TestTextKept: texts without credentials stay as they are, and the rest of a text with
// credentials stays readable.
func TestTextKept(t *testing.T) {
	for _, s := range []string{
		"", "dial tcp 10.0.0.1:5432: connect: connection refused", "GET https://host:8080/a/b: 500",
		`password authentication failed for user "app"`, "token expired", "max_tokens: 8 is too large", "NOAUTH Authentication required.",
		"tls: invalid signature by the server certificate: ECDSA verification failure", "lookup db.internal on [::1]:53: no such host",
		"3 passed, 2 failed", "write to ops@example.com",
	} {
		if got := redact.Text(s); got != s {
			t.Errorf("%q: %q", s, got)
		}
	}
	for s, want := range map[string]string{
		"dial app:x1@tcp(db:3306)/x: refused":     "dial xxxxx@tcp(db:3306)/x: refused",
		"dial postgres://u:p@db/x?a=b: refused":   "dial postgres://xxxxx@db/x?xxxxx refused",
		"connect: host=db password=x sslmode=off": "connect: host=db password=xxxxx sslmode=off",
	} {
		if got := redact.Text(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	if got := redact.Text(strings.Repeat("word ", 5<<10)); len(got) > 16<<10+3 || !strings.HasSuffix(got, "word ...") {
		t.Errorf("%d bytes: %q", len(got), got[len(got)-20:])
	}
}
