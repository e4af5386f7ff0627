package apikeys_test

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic/apikeys"
)

func hash(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }

// file is a file of keys a, b and c.
var file = fmt.Sprintf(`{%q: {"team": "search", "budget": 25.5}, %q: {"team": "search", "budget": 25.5}, %q: {"team": "support"}}`, hash("a"), hash("b"), hash("c"))

func read(t *testing.T) *apikeys.Keys {
	t.Helper()
	k, err := apikeys.Read(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAuthenticate(t *testing.T) {
	for name, tt := range map[string]struct{ header, value, team string }{
		"bearer": {"Authorization", "Bearer a", "search"}, "case of the scheme": {"Authorization", "bearer b", "search"},
		"x-api-key": {"X-Api-Key", "c", "support"}, "none": {"X-Other", "a", ""}, "unknown": {"Authorization", "Bearer d", ""},
		"empty": {"Authorization", "Bearer ", ""}, "basic": {"Authorization", "Basic a", ""}, "the hash itself": {"X-Api-Key", hash("a"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set(tt.header, tt.value)
			if team, ok := read(t).Authenticate(r); team != tt.team || ok != (tt.team != "") {
				t.Errorf("team %q, %t, want %q", team, ok, tt.team)
			}
			if _, ok := new(apikeys.Keys).Authenticate(r); ok {
				t.Error("the zero Keys admits it")
			}
		})
	}
}

func TestBudgets(t *testing.T) {
	k := read(t)
	if k.Budget("search") != 25_500_000 || k.Budget("support") != 0 {
		t.Errorf("budgets %d and %d", k.Budget("search"), k.Budget("support"))
	}
	if diff := cmp.Diff([]string{"search", "support"}, k.Teams()); diff != "" {
		t.Errorf("teams (-want +got):\n%s", diff)
	}
}

func TestInvalidKeys(t *testing.T) {
	a, b := hash("a"), hash("b")
	for text, want := range map[string]string{ // the end of the field, or "" for an error of package json
		``: "", `[]`: "", `{} {}`: "", `{"` + a + `":{"team":"x","limit":1}}`: "", `{"` + a + `":{"team":"x","budget":"1"}}`: "",
		`{"a":{"team":"x"}}`: "]", `{"` + strings.ToUpper(a) + `":{"team":"x"}}`: "]", `{"` + a + `0":{"team":"x"}}`: "]", `{"` + hash("") + `":{"team":"x"}}`: "]",
		`{"` + a + `":{}}`: ".team", `{"` + a + `":{"team":"x","budget":0}}`: ".budget", `{"` + a + `":{"team":"x","budget":-1}}`: ".budget", `{"` + a + `":{"team":"x","budget":1e10}}`: ".budget",
		`{"` + a + `":{"team":"x","budget":1},"` + b + `":{"team":"x","budget":2}}`: ".budget", `{"` + a + `":{"team":"x","budget":1},"` + b + `":{"team":"x"}}`: ".budget",
	} {
		_, err := apikeys.Read(strings.NewReader(text))
		var bad *checks.InvalidError
		if err == nil || want != "" && (!errors.As(err, &bad) || !strings.HasSuffix(bad.Field, want)) {
			t.Errorf("%s: %v, want an error about %s", text, err, want)
		}
	}
}

// TestRequireDoesNotReadTheBody: a caller without a key is answered although its body
// never comes.
func TestRequireDoesNotReadTheBody(t *testing.T) {
	s := httptest.NewServer(apikeys.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, apikeys.TeamOf(r))
	}), read(t).Authenticate))
	defer s.Close()
	for name, body := range map[string]string{"length": "Content-Length: 1000", "chunked": "Transfer-Encoding: chunked"} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", body)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusUnauthorized || !resp.Close {
				t.Errorf("%v, %v, want a 401 that closes the connection", resp, err)
			}
		})
	}
	req, _ := http.NewRequest(http.MethodPost, s.URL, nil)
	req.Header.Set("X-Api-Key", "c")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if team, _ := io.ReadAll(resp.Body); string(team) != "support" {
		t.Errorf("with a key: %d, %q", resp.StatusCode, team)
	}
}

func TestReadFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "keys.json")
	if _, err := apikeys.ReadFile(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if k, err := apikeys.ReadFile(name); err != nil || len(k.Teams()) != 2 {
		t.Errorf("%v, %v", k, err)
	}
	if err := os.WriteFile(name, []byte(`{"a": {"team": "x"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var bad *checks.InvalidError
	if _, err := apikeys.ReadFile(name); !errors.As(err, &bad) || !strings.Contains(err.Error(), name) {
		t.Errorf("a file with a mistake: %v", err)
	}
	if k, err := apikeys.ReadFile(""); err != nil || len(k.Teams()) != 0 {
		t.Errorf("without a name: %v, %v", k, err)
	}
}
