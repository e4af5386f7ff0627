package apikeys

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
)

// Keys knows the team of each key. It does not change, and is safe for concurrent use.
// The zero Keys knows no key, and so admits no request.
type Keys struct {
	teams   map[string]string // by the hash of the key
	budgets map[string]analysis.Money
}

// entry is one key in JSON.
type entry struct {
	Team   string   `json:"team"`
	Budget *float64 `json:"budget"`
}

// maxBudget is the largest budget, in the currency's unit.
const maxBudget = 1e9

// Read reads keys in JSON, in the form that the package comment shows. The member team is
// required. The member budget is what the team may spend within the window of its ledger,
// more than 0 and at most 1e9, in the currency of the prices; without it there is no
// limit. All keys of a team must have the same budget. Any other member is an error. Each
// entry that is not valid is a [*checks.InvalidError], joined, whose field shows the
// first eight digits of the hash.
func Read(r io.Reader) (*Keys, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var entries map[string]entry
	if err := d.Decode(&entries); err != nil {
		return nil, fmt.Errorf("apikeys: keys: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("apikeys: keys: something follows the end of the object")
	}
	k := &Keys{teams: make(map[string]string, len(entries)), budgets: make(map[string]analysis.Money)}
	var errs []error
	for _, hash := range slices.Sorted(maps.Keys(entries)) {
		e := entries[hash]
		bad := func(field string, value any, want string) {
			errs = append(errs, &checks.InvalidError{Package: "apikeys", Field: fmt.Sprintf("Keys[%.8q]%s", hash, field), Value: value, Want: want})
		}
		if raw, err := hex.DecodeString(hash); err != nil || len(raw) != sha256.Size || hash != strings.ToLower(hash) {
			bad("", fmt.Sprintf("%d characters", len(hash)), "a SHA-256 in 64 lower-case hexadecimal digits")
		}
		if hash == emptyHash {
			bad("", "the hash of an empty key", "the hash of a key")
		}
		if e.Team == "" {
			bad(".team", `""`, "a name that is not empty")
		}
		budget := analysis.Money(0)
		if e.Budget != nil {
			if *e.Budget < 1e-6 || *e.Budget > maxBudget {
				bad(".budget", *e.Budget, "more than 0 and at most 1e9; leave it out for no limit")
			}
			budget = analysis.Money(math.Round(*e.Budget * 1e6))
		}
		if other, seen := k.budgets[e.Team]; seen && other != budget {
			bad(".budget", budget, fmt.Sprintf("%d millionths, as other keys of team %q have", other, e.Team))
		}
		k.teams[hash], k.budgets[e.Team] = e.Team, budget
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return k, nil
}

// ReadFile reads the keys of a file as [Read] does. The empty name returns the zero Keys.
func ReadFile(name string) (*Keys, error) {
	if name == "" {
		return new(Keys), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("apikeys: keys: %w", err)
	}
	defer f.Close()
	k, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

var emptyHash = hashed("")

func hashed(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// HashOf returns the SHA-256 of the key that a request brings, in hexadecimal digits, or
// "" if it brings none. The key is the bearer token of the header Authorization (RFC
// 6750, section 2.1), as clients of OpenAI send it, or the header X-Api-Key, as clients of
// Anthropic do.
func HashOf(r *http.Request) string {
	const bearer = "Bearer "
	key := r.Header.Get("X-Api-Key")
	if value := r.Header.Get("Authorization"); len(value) > len(bearer) && strings.EqualFold(value[:len(bearer)], bearer) {
		key = value[len(bearer):]
	}
	if key == "" {
		return ""
	}
	return hashed(key)
}

// Authenticate returns the team of the key that a request brings, and whether the key is
// known.
func (k *Keys) Authenticate(r *http.Request) (team string, ok bool) {
	team, ok = k.teams[HashOf(r)]
	return team, ok
}

// Budget returns what a team may spend, or 0 for no limit.
func (k *Keys) Budget(team string) analysis.Money { return k.budgets[team] }

// Teams returns the names of the teams that have a key, sorted.
func (k *Keys) Teams() []string { return slices.Sorted(maps.Keys(k.budgets)) }

// teamKey is the key under which a context holds the team of its request.
type teamKey struct{}

// TeamOf returns the team of a request that [Require] has admitted, or "".
func TeamOf(r *http.Request) string {
	team, _ := r.Context().Value(teamKey{}).(string)
	return team
}

// Require returns a handler that passes on to next the requests for which authenticate
// returns true, such as [Keys.Authenticate] does. It answers 401 to all others before it
// reads their body, and closes their connection. The team that authenticate returns is
// what [TeamOf] returns in next.
func Require(next http.Handler, authenticate func(*http.Request) (team string, ok bool)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		team, ok := authenticate(r)
		if !ok {
			h := w.Header()
			h.Set("Connection", "close") // or the server would read the body first
			h.Set("Content-Type", "application/json")
			h.Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, refusal) // a caller that has gone needs no answer
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), teamKey{}, team)))
	})
}

// refusal is read by clients of OpenAI and Anthropic.
const refusal = `{"type":"error","error":{"type":"authentication_error","code":"invalid_api_key","param":null,` +
	`"message":"want a key of this gateway, as Authorization: Bearer or X-Api-Key"}}` + "\n"
