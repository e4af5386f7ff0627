package privacy_test

import (
	"slices"
	"testing"

	"github.com/serin-go/serin/rollout/privacy"
)

func TestPseudonyms(t *testing.T) {
	// RFC 4231, test case 2.
	if got := privacy.HexHMAC([]byte("Jefe"), "what do ya want for nothing?"); got != "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" {
		t.Error(got)
	}
	old := privacy.PseudonymKey{ID: "k1", Secret: []byte("0123456789abcdef0123456789abcdef")}
	p, err := privacy.NewPseudonyms(old)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"alice@example.com": "k1-841240d2a5b6654b3ae21fc4499db7b7867077cdd67c3e16cef1f9843e27d1fa",
		"bob@example.com":   "k1-0f03a80a5bb45cb698165b3a48abad4fe7183d604b79e6bb198aa8b354f296e9",
	} {
		if got := p.Of("", id); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
	if p.Of("a", "alice") == p.Of("b", "alice") || p.Of("a", "alice") == p.Of("", "alice") {
		t.Error("pseudonyms depend on the tenant, and on nothing else")
	}
	rotated, err := privacy.NewPseudonyms(privacy.PseudonymKey{ID: "k2", Secret: []byte("another secret of at least 32 bytes")}, old)
	if err != nil {
		t.Fatal(err)
	}
	all := rotated.All("", "alice@example.com")
	if len(all) != 2 || all[0] != rotated.Of("", "alice@example.com") || all[1] != p.Of("", "alice@example.com") {
		t.Errorf("after a rotation: %q", all)
	}
	_, err = privacy.NewPseudonyms(old, old, privacy.PseudonymKey{ID: "K", Secret: []byte("hunter2")})
	if got := fields(err); !slices.Equal(got, []string{"keys[1].ID", "keys[2].ID", "keys[2].Secret"}) {
		t.Errorf("%v", err)
	}
	if _, err := privacy.NewPseudonyms(); err == nil {
		t.Error("no key is accepted")
	}
}
