package webauthn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/access/webauthn"
	"github.com/serin-go/serin/rollout/memstore"
)

var _ access.Factor = (*webauthn.Keys)(nil)

const (
	site   = "gateway.example.com"
	origin = "https://gateway.example.com"
)

func config() webauthn.Config {
	return webauthn.Config{ID: site, Origins: []string{origin}, Store: new(memstore.Store)}
}

func open(t *testing.T, c webauthn.Config) *webauthn.Keys {
	t.Helper()
	k, err := webauthn.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// device is a browser with a key, on the pages of an origin.
type device struct {
	rp   virtualwebauthn.RelyingParty
	auth virtualwebauthn.Authenticator
	cred virtualwebauthn.Credential
}

func newDevice() *device {
	return &device{virtualwebauthn.RelyingParty{ID: site, Origin: origin}, virtualwebauthn.NewAuthenticator(), newCredential()}
}

// newCredential returns a key whose coordinates have no leading zeros, which the stand-in would
// leave out.
func newCredential() virtualwebauthn.Credential {
	for {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		if point[1] == 0 || point[33] == 0 {
			continue
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			panic(err)
		}
		return virtualwebauthn.NewCredentialWithImportedKey(virtualwebauthn.KeyTypeEC2, der)
	}
}

// made is the answer to options for a new key.
func (d *device) made(t *testing.T, options json.RawMessage) string {
	t.Helper()
	o, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	return virtualwebauthn.CreateAttestationResponse(d.rp, d.auth, d.cred, *o)
}

// used is the answer to options for a proof.
func (d *device) used(t *testing.T, options json.RawMessage) string {
	t.Helper()
	o, err := virtualwebauthn.ParseAssertionOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	return virtualwebauthn.CreateAssertionResponse(d.rp, d.auth, d.cred, *o)
}

func enroll(t *testing.T, k *webauthn.Keys, user string, d *device) {
	t.Helper()
	options, err := k.Enroll(t.Context(), user, "a key")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Confirm(t.Context(), user, d.made(t, options)); err != nil {
		t.Fatal(err)
	}
}

func challenge(t *testing.T, k *webauthn.Keys, user string) json.RawMessage {
	t.Helper()
	options, err := k.Challenge(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return options
}

// prove is a whole proof.
func prove(t *testing.T, k *webauthn.Keys, user string, d *device) (time.Time, error) {
	t.Helper()
	return k.Verify(t.Context(), user, d.used(t, challenge(t, k, user)))
}

func TestProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for kind, cred := range map[string]virtualwebauthn.Credential{"EC": newCredential(), "RSA": virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeRSA)} {
			k, d := open(t, config()), newDevice()
			d.cred = cred
			if _, err := k.Challenge(t.Context(), "ana"); !errors.Is(err, access.ErrNotEnrolled) {
				t.Errorf("before enrolment: %v", err)
			}
			enroll(t, k, "ana", d)
			for range 3 {
				time.Sleep(time.Hour)
				d.cred.Counter++
				if at, err := prove(t, k, "ana", d); err != nil || !at.Equal(time.Now()) {
					t.Errorf("%s: %v, %v", kind, at, err)
				}
			}
			list, err := k.List(t.Context(), "ana")
			if err != nil || len(list) != 1 || list[0].Name != "a key" || !list[0].Used.Equal(time.Now()) || list[0].Synced {
				t.Errorf("%+v, %v", list, err)
			}
		}
	})
}

// TestChallengeIsGoodOnce: the same answer twice, also concurrently; an answer after five minutes; to
// the challenge of another person; to an enrolment; to nothing.
func TestChallengeIsGoodOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d := open(t, config()), newDevice()
		enroll(t, k, "ana", d)
		answer := d.used(t, challenge(t, k, "ana"))
		var good atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := k.Verify(t.Context(), "ana", answer)
				if err == nil {
					good.Add(1)
				} else if !errors.Is(err, access.ErrCode) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if good.Load() != 1 {
			t.Errorf("one answer is accepted %d times", good.Load())
		}
		late := challenge(t, k, "ana")
		time.Sleep(5 * time.Minute)
		refused(t, k, "after five minutes", "ana", d.used(t, late))
		other := newDevice()
		enroll(t, k, "ben", other)
		refused(t, k, "to the challenge of another person", "ana", d.used(t, challenge(t, k, "ben")))
		refused(t, k, "by the key of another person", "ana", other.used(t, challenge(t, k, "ana")))
		refused(t, k, "of another person", "ana", other.used(t, challenge(t, k, "ben")))
		options, err := k.Enroll(t.Context(), "ana", "another key")
		if err != nil {
			t.Fatal(err)
		}
		refused(t, k, "to an enrolment", "ana", d.used(t, options))
		refused(t, k, "to an unknown challenge", "ana", d.used(t, json.RawMessage(`{"challenge":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`)))
		first := challenge(t, k, "ana")
		for range 5 {
			challenge(t, k, "ana")
		}
		refused(t, k, "to one that five others have replaced", "ana", d.used(t, first))
	})
}

func refused(t *testing.T, k *webauthn.Keys, name, user, answer string) {
	t.Helper()
	if at, err := k.Verify(t.Context(), user, answer); !errors.Is(err, access.ErrCode) || !at.IsZero() {
		t.Errorf("an answer %s: %v, %v", name, at, err)
	}
}

// TestAnswersThatAreRefused: what the key or the page does otherwise than it must.
func TestAnswersThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(*device){
		"from a page of another site":           func(d *device) { d.rp.Origin = "https://gateway.example.com.evil.example" },
		"from a page over http":                 func(d *device) { d.rp.Origin = "http://gateway.example.com" },
		"from another port":                     func(d *device) { d.rp.Origin = "https://gateway.example.com:8443" },
		"from a sibling":                        func(d *device) { d.rp.Origin = "https://console.example.com" },
		"for another site":                      func(d *device) { d.rp.ID = "evil.example" },
		"for the parent":                        func(d *device) { d.rp.ID = "example.com" },
		"without a person":                      func(d *device) { d.auth.Options.UserNotPresent = true },
		"without a verified person":             func(d *device) { d.auth.Options.UserNotVerified = true },
		"with another key":                      func(d *device) { d.cred.Key = newCredential().Key },
		"with an unknown ID":                    func(d *device) { d.cred.ID = make([]byte, 32) },
		"by a key that has become a synced one": func(d *device) { d.auth.Options.BackupEligible = true },
		"with the handle of another person":     func(d *device) { d.auth.Options.UserHandle = []byte("ben") },
	} {
		k, d := open(t, config()), newDevice()
		enroll(t, k, "ana", d)
		good := *d
		change(d)
		refused(t, k, name, "ana", d.used(t, challenge(t, k, "ana")))
		if _, err := prove(t, k, "ana", &good); err != nil {
			t.Errorf("after an answer %s: %v", name, err)
		}
	}
}

// TestKeysThatAreRefused: a key that must not be enrolled.
func TestKeysThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(*device){
		"from a page of another site": func(d *device) { d.rp.Origin = "https://evil.example" },
		"for another site":            func(d *device) { d.rp.ID = "evil.example" },
		"without a person":            func(d *device) { d.auth.Options.UserNotPresent = true },
		"without a verified person":   func(d *device) { d.auth.Options.UserNotVerified = true },
	} {
		k, d := open(t, config()), newDevice()
		change(d)
		options, err := k.Enroll(t.Context(), "ana", "a key")
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Confirm(t.Context(), "ana", d.made(t, options)); !errors.Is(err, access.ErrCode) {
			t.Errorf("a key %s: %v", name, err)
		}
		if _, err := k.Challenge(t.Context(), "ana"); !errors.Is(err, access.ErrNotEnrolled) {
			t.Errorf("a key %s is enrolled: %v", name, err)
		}
	}
	k, d := open(t, config()), newDevice()
	options, err := k.Enroll(t.Context(), "ana", "a key")
	if err != nil {
		t.Fatal(err)
	}
	answer := d.made(t, options)
	if err := k.Confirm(t.Context(), "ben", answer); !errors.Is(err, access.ErrCode) {
		t.Errorf("the enrolment of another person: %v", err)
	}
	if err := k.Confirm(t.Context(), "ana", answer); err != nil {
		t.Error(err)
	}
	if err := k.Confirm(t.Context(), "ana", answer); !errors.Is(err, access.ErrCode) {
		t.Errorf("the same enrolment again: %v", err)
	}
	if options, err = k.Enroll(t.Context(), "ana", "the same key"); err != nil {
		t.Fatal(err)
	}
	if err := k.Confirm(t.Context(), "ana", d.made(t, options)); !errors.Is(err, access.ErrCode) {
		t.Errorf("the same key again: %v", err)
	}
}

// TestCounter: a key that counts must count upwards. What is stored stays, and Cloned is
// called.
func TestCounter(t *testing.T) {
	var told []string
	c := config()
	c.Cloned = func(_ context.Context, user, id string) { told = append(told, user+" "+id); panic("in the callback") }
	k, d := open(t, c), newDevice()
	enroll(t, k, "ana", d)
	id := func() string {
		list, err := k.List(t.Context(), "ana")
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		return list[0].ID
	}()
	for _, step := range []struct {
		counter uint32
		good    bool
	}{{0, true}, {0, true}, {7, true}, {7, false}, {6, false}, {0, false}, {7, false}, {8, true}, {1 << 31, true}, {9, false}, {1<<31 + 1, true}} {
		d.cred.Counter = step.counter
		n := len(told)
		_, err := prove(t, k, "ana", d)
		if (err == nil) != step.good || err != nil && !errors.Is(err, access.ErrCode) {
			t.Errorf("counter %d: %v, want accepted %v", step.counter, err, step.good)
		}
		if (len(told) > n) == step.good || len(told) > n && told[n] != "ana "+id {
			t.Errorf("counter %d: reported %v", step.counter, told[n:])
		}
	}
}

func TestRemove(t *testing.T) {
	k, one, two := open(t, config()), newDevice(), newDevice()
	enroll(t, k, "ana", one)
	enroll(t, k, "ana", two)
	list, err := k.List(t.Context(), "ana")
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	asked := challenge(t, k, "ana")
	if err := k.Remove(t.Context(), "ben", list[0].ID); !errors.Is(err, access.ErrNotEnrolled) {
		t.Errorf("the key of another person: %v", err)
	}
	if err := k.Remove(t.Context(), "ana", list[0].ID); err != nil {
		t.Fatal(err)
	}
	refused(t, k, "by a key that was removed meanwhile", "ana", one.used(t, asked))
	refused(t, k, "by a key that was removed", "ana", one.used(t, challenge(t, k, "ana")))
	if _, err := prove(t, k, "ana", two); err != nil {
		t.Errorf("the other key: %v", err)
	}
	if err := k.Remove(t.Context(), "ana", list[1].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Challenge(t.Context(), "ana"); !errors.Is(err, access.ErrNotEnrolled) {
		t.Errorf("without a key: %v", err)
	}
}

// TestAnswersOfEveryForm: an answer that was cut or altered anywhere is refused, and the store
// stays readable.
func TestAnswersOfEveryForm(t *testing.T) {
	k, d := open(t, config()), newDevice()
	enroll(t, k, "ana", d)
	answer := d.used(t, challenge(t, k, "ana"))
	for i := range answer {
		if _, err := k.Verify(t.Context(), "ana", answer[:i]); !errors.Is(err, access.ErrCode) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	for _, text := range []string{"", "null", "[]", "{}", "0", `{"id":1}`, "\x00", strings.Repeat("a", 100_000), "{" + strings.Repeat(`"a":{`, 5000)} {
		if _, err := k.Verify(t.Context(), "ana", text); !errors.Is(err, access.ErrCode) {
			t.Errorf("%.20q: %v", text, err)
		}
		if err := k.Confirm(t.Context(), "ana", text); !errors.Is(err, access.ErrCode) {
			t.Errorf("enrolment, %.20q: %v", text, err)
		}
	}
	for _, user := range []string{"", strings.Repeat("a", 256)} {
		var invalid *checks.InvalidError
		if _, err := k.Verify(t.Context(), user, answer); !errors.As(err, &invalid) {
			t.Errorf("a user of %d bytes: %v", len(user), err)
		}
	}
	if _, err := k.Verify(t.Context(), "ana", answer); err != nil {
		t.Errorf("the answer as it was: %v", err)
	}
}

// TestOptions: what goes to the browser demands that the key verifies the person, and says
// nothing about the person but the name.
func TestOptions(t *testing.T) {
	k, d := open(t, config()), newDevice()
	enroll(t, k, "ana", d)
	options, err := k.Enroll(t.Context(), "ana", "a key")
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		Exclude []struct{ ID string }             `json:"excludeCredentials"`
		Choice  struct{ UserVerification string } `json:"authenticatorSelection"`
		User    struct{ ID string }               `json:"user"`
	}
	if err := json.Unmarshal(options, &made); err != nil || made.Choice.UserVerification != "required" || len(made.Exclude) != 1 || strings.Contains(made.User.ID, "ana") {
		t.Errorf("%s, %v", options, err)
	}
	var used map[string]any
	if err := json.Unmarshal(challenge(t, k, "ana"), &used); err != nil || used["userVerification"] != "required" || used["rpId"] != site {
		t.Errorf("%v, %v", slices.Sorted(maps.Keys(used)), err)
	}
}

// TestManyKeys: a person has at most twenty.
func TestManyKeys(t *testing.T) {
	k := open(t, config())
	for range 20 {
		enroll(t, k, "ana", newDevice())
	}
	var invalid *checks.InvalidError
	if _, err := k.Enroll(t.Context(), "ana", "one more"); !errors.As(err, &invalid) {
		t.Error(err)
	}
	for _, name := range []string{"", " ", strings.Repeat("a", 65)} {
		if _, err := k.Enroll(t.Context(), "ben", name); !errors.As(err, &invalid) || invalid.Field != "name" {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestConfigThatIsRefused(t *testing.T) {
	for field, changes := range map[string][]func(*webauthn.Config){
		"Config.ID":      {func(c *webauthn.Config) { c.ID = "" }, func(c *webauthn.Config) { c.ID = "https://gateway.example.com" }, func(c *webauthn.Config) { c.ID = "Gateway.example.com" }},
		"Config.Store":   {func(c *webauthn.Config) { c.Store = nil }},
		"Config.Origins": {func(c *webauthn.Config) { c.Origins = nil }},
		"Config.Origins[0]": {
			func(c *webauthn.Config) { c.Origins = []string{"http://gateway.example.com"} },
			func(c *webauthn.Config) { c.Origins = []string{"https://gateway.example.com/"} },
			func(c *webauthn.Config) { c.Origins = []string{"https://evil.example"} },
			func(c *webauthn.Config) { c.Origins = []string{"https://evilgateway.example.com"} },
			func(c *webauthn.Config) { c.Origins = []string{"*"} },
		},
	} {
		for i, change := range changes {
			c := config()
			change(&c)
			_, err := webauthn.New(c)
			var invalid *checks.InvalidError
			var found bool
			for _, e := range all(err) {
				found = found || errors.As(e, &invalid) && invalid.Field == field
			}
			if !found {
				t.Errorf("%s, change %d: %v", field, i, err)
			}
		}
	}
}

func all(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// FuzzVerify: no answer is accepted that no key has given, and none panics.
func FuzzVerify(f *testing.F) {
	k, err := webauthn.New(config())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"type":"public-key","id":"AAAA","rawId":"AAAA","response":{"authenticatorData":"AAAA","clientDataJSON":"e30","signature":"AAAA"}}`)
	f.Fuzz(func(t *testing.T, code string) {
		if _, err := k.Verify(t.Context(), "ana", code); err == nil {
			t.Error("accepted")
		}
		if err := k.Confirm(t.Context(), "ana", code); err == nil {
			t.Error("enrolled")
		}
	})
}
