package access_test

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/memstore"
)

func totp(t testing.TB, c access.TOTPConfig) *access.TOTP {
	t.Helper()
	if c.Store == nil {
		c.Store = new(memstore.Store)
	}
	c.Issuer = "Serin"
	f, err := access.NewTOTP(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// key repeats the digits as the vectors of RFC 6238 do.
func key(n int) []byte { return []byte(strings.Repeat("1234567890", 7)[:n]) }

// TestVectors: the vectors of RFC 6238, appendix B, and of RFC 4226, appendix D.
func TestVectors(t *testing.T) {
	for _, v := range []struct {
		unix                      int64
		sha1, sha256, sha512, six string
	}{
		{59, "94287082", "46119246", "90693936", "287082"},
		{1111111109, "07081804", "68084774", "25091201", "081804"},
		{1111111111, "14050471", "67062674", "99943326", "050471"},
		{1234567890, "89005924", "91819424", "93441116", "005924"},
		{2000000000, "69279037", "90698825", "38618901", "279037"},
		{20000000000, "65353130", "77737706", "47863826", "353130"},
	} {
		for _, c := range []struct {
			cfg  access.TOTPConfig
			key  int
			want string
		}{
			{access.TOTPConfig{Digits: 8}, 20, v.sha1}, {access.TOTPConfig{Digits: 8, Algorithm: "SHA256"}, 32, v.sha256},
			{access.TOTPConfig{Digits: 8, Algorithm: "SHA512"}, 64, v.sha512}, {access.TOTPConfig{}, 20, v.six},
		} {
			if got := totp(t, c.cfg).CodeAt(key(c.key), v.unix); got != c.want {
				t.Errorf("%d %s: %s, want %s", v.unix, c.cfg.Algorithm, got, c.want)
			}
		}
	}
	for step, want := range strings.Fields("755224 287082 359152 969429 338314 254676 287922 162583 399871 520489") {
		if got := totp(t, access.TOTPConfig{}).CodeOf(key(20), uint64(step)); got != want {
			t.Errorf("counter %d: %s, want %s", step, got, want)
		}
	}
}

// TestSkew: the code of second 59 counts from 0 to 89 with a skew of one period, and a code
// counts once; no step below 0 counts.
func TestSkew(t *testing.T) {
	f := totp(t, access.TOTPConfig{})
	for unix := int64(-2); unix < 130; unix++ {
		if _, ok := f.Match(key(20), "287082", unix, 0); ok != (unix >= 0 && unix < 90) {
			t.Errorf("at %d: %v", unix, ok)
		}
	}
	for at := int64(0); at < 30; at++ {
		for step := uint64(0); step < 4; step++ {
			_, ok := f.Match(key(20), f.CodeOf(key(20), step), at, 0)
			if ok != (step <= 1) {
				t.Errorf("at %d, step %d: %v", at, step, ok)
			}
		}
		// The step before step 0 wraps to the largest number: its code must not count.
		if _, ok := f.Match(key(20), f.CodeOf(key(20), 1<<64-1), at, 0); ok {
			t.Errorf("at %d the step below 0 counts", at)
		}
	}
	for used := range uint64(6) { // after step 2 was used, used is 3
		_, ok := f.Match(key(20), f.CodeOf(key(20), 3), 90, used)
		if ok != (used <= 3) {
			t.Errorf("step 3 after %d: %v", used, ok)
		}
	}
	exact := totp(t, access.TOTPConfig{Skew: -1})
	for unix := int64(0); unix < 120; unix++ {
		if _, ok := exact.Match(key(20), "287082", unix, 0); ok != (unix >= 30 && unix < 60) {
			t.Errorf("without skew at %d: %v", unix, ok)
		}
	}
}

// secretOf decodes the secret of an enrolment.
func secretOf(t testing.TB, e access.Enrolment) []byte {
	t.Helper()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestEnrolment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := totp(t, access.TOTPConfig{})
		ctx := t.Context()
		if _, err := f.Verify(ctx, "ana", "123456"); !errors.Is(err, access.ErrNotEnrolled) {
			t.Errorf("%v, want ErrNotEnrolled", err)
		}
		e, err := f.Enroll(ctx, "ana@example.com/ö")
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(e.URI)
		if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Serin:ana@example.com/ö" || u.Query().Get("secret") != e.Secret || u.Query().Get("issuer") != "Serin" || u.Query().Get("period") != "30" {
			t.Errorf("%s, %v", e.URI, err)
		}
		user, secret := "ana@example.com/ö", secretOf(t, e)
		now := func() string { return f.CodeAt(secret, time.Now().Unix()) }
		if _, err := f.Verify(ctx, user, now()); !errors.Is(err, access.ErrNotEnrolled) {
			t.Errorf("%v, want ErrNotEnrolled before Confirm", err)
		}
		code := now()
		if err := f.Confirm(ctx, user, " "+code[:3]+" "+code[3:]); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Verify(ctx, user, code); !errors.Is(err, access.ErrCode) {
			t.Errorf("%v: the code of the enrolment is used up", err)
		}
		time.Sleep(30 * time.Second)
		proved, err := f.Verify(ctx, user, now())
		if err != nil || !proved.Equal(time.Now()) {
			t.Errorf("%v, %v", proved, err)
		}
		for range 3 { // replay, within its window and after it
			if _, err := f.Verify(ctx, user, code); !errors.Is(err, access.ErrCode) {
				t.Errorf("%v, want ErrCode", err)
			}
			time.Sleep(time.Minute)
		}
		other, err := f.Enroll(ctx, user) // a new one does not count yet
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Verify(ctx, user, now()); err != nil {
			t.Errorf("%v: the old secret counts until the new one is confirmed", err)
		}
		if err := f.Confirm(ctx, user, f.CodeAt(secretOf(t, other), time.Now().Unix())); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if _, err := f.Verify(ctx, user, now()); !errors.Is(err, access.ErrCode) {
			t.Errorf("%v: the old secret still counts", err)
		}
		if err := f.Remove(ctx, user); err != nil {
			t.Error(err)
		}
		if _, err := f.Verify(ctx, user, now()); !errors.Is(err, access.ErrNotEnrolled) {
			t.Errorf("%v, want ErrNotEnrolled", err)
		}
	})
}

func TestImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := totp(t, access.TOTPConfig{})
		for _, secret := range []string{"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "gezd gnbv gy3t qojq gezd gnbv gy3t qojq", "GEZDGNBV-GY3TQOJQ-GEZDGNBV-GY3TQOJQ====", "gezdgnbvgy3tqojqge"} {
			time.Sleep(2 * time.Minute) // the codes of the former are used up
			if err := f.Import(t.Context(), "ana", secret); err != nil {
				t.Errorf("%s: %v", secret, err)
				continue
			}
			raw := key(20)
			if len(secret) == 18 {
				raw = key(11)
			}
			if _, err := f.Verify(t.Context(), "ana", f.CodeAt(raw, time.Now().Unix())); err != nil {
				t.Errorf("%s: %v", secret, err)
			}
		}
		for _, secret := range []string{"", "GEZD", "0189018901890189018901", strings.Repeat("GEZD", 40)} {
			var invalid *checks.InvalidError
			if err := f.Import(t.Context(), "ana", secret); !errors.As(err, &invalid) || strings.Contains(fmt.Sprint(err), secret) && secret != "" {
				t.Errorf("%q: %v, want an InvalidError without the secret", secret, err)
			}
		}
	})
}

// TestThrottle: five failures pause the factor of this user for 1, 2, 4 and up to 60
// minutes, and no other one. A success forgets the failures.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := totp(t, access.TOTPConfig{})
		ctx := t.Context()
		for _, user := range []string{"ana", "ben"} {
			if err := f.Import(ctx, user, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"); err != nil {
				t.Fatal(err)
			}
		}
		now := func() string { return f.CodeAt(key(20), time.Now().Unix()) }
		wrong := func() error {
			digit := map[bool]string{true: "1", false: "0"}[now()[0] == '0']
			_, err := f.Verify(ctx, "ana", digit+now()[1:])
			return err
		}
		var paused *access.PausedError
		for _, minutes := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
			for range 5 {
				if err := wrong(); !errors.Is(err, access.ErrCode) {
					t.Fatalf("%v, want ErrCode", err)
				}
			}
			began := time.Now()
			if _, err := f.Verify(ctx, "ana", now()); !errors.As(err, &paused) || paused.Until.Sub(began) != time.Duration(minutes)*time.Minute {
				t.Fatalf("%v, want a pause of %d min", err, minutes)
			}
			if _, err := f.Verify(ctx, "ben", now()); err != nil {
				t.Errorf("%v: another user is paused", err)
			}
			time.Sleep(time.Duration(minutes)*time.Minute - 1)
			if _, err := f.Verify(ctx, "ana", now()); !errors.As(err, &paused) {
				t.Errorf("%v, want a PausedError", err)
			}
			time.Sleep(31 * time.Second)
		}
		if _, err := f.Verify(ctx, "ana", now()); err != nil {
			t.Error(err)
		}
		for range 20 { // four in five minutes pause nothing, and what is no code is no guess
			for range 4 {
				if err := wrong(); !errors.Is(err, access.ErrCode) {
					t.Fatalf("%v, want ErrCode", err)
				}
			}
			for _, bad := range []string{"", "12345", "1234567", "12345x", "１２３４５６", "-12345"} {
				if _, err := f.Verify(ctx, "ana", bad); !errors.Is(err, access.ErrCode) {
					t.Errorf("%q: %v, want ErrCode", bad, err)
				}
			}
			time.Sleep(5 * time.Minute)
		}
	})
}

// TestOnce: of a hundred calls with one code at the same time, exactly one succeeds; so it
// is with a recovery code.
func TestOnce(t *testing.T) {
	store := new(memstore.Store)
	totps := []*access.TOTP{totp(t, access.TOTPConfig{Store: store}), totp(t, access.TOTPConfig{Store: store})}
	if err := totps[0].Import(t.Context(), "ana", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"); err != nil {
		t.Fatal(err)
	}
	r, err := access.NewRecovery(access.RecoveryConfig{Store: store, Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	codes, err := r.Generate(t.Context(), "ana")
	if err != nil {
		t.Fatal(err)
	}
	code := totps[0].CodeAt(key(20), time.Now().Unix())
	for name, verify := range map[string]func(i int) error{
		"TOTP":     func(i int) error { _, err := totps[i%2].Verify(t.Context(), "ana", code); return err },
		"recovery": func(int) error { _, err := r.Verify(t.Context(), "ana", codes[3]); return err },
	} {
		var all sync.WaitGroup
		var mu sync.Mutex
		succeeded := 0
		for i := range 100 {
			all.Go(func() {
				err := verify(i)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					succeeded++
				}
			})
		}
		all.Wait()
		if succeeded != 1 {
			t.Errorf("%s: %d calls succeeded, want 1", name, succeeded)
		}
	}
}

func TestRecovery(t *testing.T) {
	store := new(memstore.Store)
	r, err := access.NewRecovery(access.RecoveryConfig{Store: store, Key: []byte(strings.Repeat("k", 32))})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := r.Verify(ctx, "ana", "AAAA-AAAA-AAAA-AAAA"); !errors.Is(err, access.ErrNotEnrolled) {
		t.Errorf("%v, want ErrNotEnrolled", err)
	}
	codes, err := r.Generate(ctx, "ana")
	if err != nil || len(codes) != 10 {
		t.Fatalf("%q, %v", codes, err)
	}
	for e, err := range store.List(ctx, "") {
		if err != nil || strings.Contains(string(e.Value), codes[0]) || strings.Contains(string(e.Value), strings.ReplaceAll(codes[0], "-", "")) {
			t.Errorf("the store holds a code: %v", err)
		}
	}
	if _, err := r.Verify(ctx, "ana", strings.ToLower(strings.ReplaceAll(codes[0], "-", " "))); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{codes[0], "", "AAAA", "1111-1111-1111-1111"} {
		if _, err := r.Verify(ctx, "ana", bad); !errors.Is(err, access.ErrCode) {
			t.Errorf("%q: %v, want ErrCode", bad, err)
		}
	}
	if _, err := r.Generate(ctx, "ben"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(ctx, "ben", codes[1]); !errors.Is(err, access.ErrCode) {
		t.Errorf("%v: a code of another user counts", err)
	}
	if left, err := r.Left(ctx, "ana"); err != nil || left != 9 {
		t.Errorf("%d codes left, %v, want 9", left, err)
	}
	if _, err := r.Generate(ctx, "ana"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(ctx, "ana", codes[2]); !errors.Is(err, access.ErrCode) {
		t.Errorf("%v: a former code counts", err)
	}
}

// TestSealed: secrets are sealed for their user, and what cannot be opened proves nothing.
func TestSealed(t *testing.T) {
	store := new(memstore.Store)
	flip := func(user string, b []byte) ([]byte, error) {
		out := append([]byte(user), b...)
		for i := len(user); i < len(out); i++ {
			out[i] ^= 0x5a
		}
		return out, nil
	}
	open := func(user string, b []byte) ([]byte, error) {
		if !strings.HasPrefix(string(b), user) {
			return nil, errors.New("another user")
		}
		plain, err := flip("", b[len(user):])
		return plain, err
	}
	f := totp(t, access.TOTPConfig{Store: store, Seal: flip, Open: open})
	if err := f.Import(t.Context(), "ana", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Verify(t.Context(), "ana", f.CodeAt(key(20), time.Now().Unix())); err != nil {
		t.Error(err)
	}
	broken := totp(t, access.TOTPConfig{Store: store, Seal: flip, Open: func(string, []byte) ([]byte, error) { return nil, errors.New("no key") }})
	if proved, err := broken.Verify(t.Context(), "ana", "123456"); err == nil || !proved.IsZero() {
		t.Errorf("%v, %v", proved, err)
	}
}

// failing is a store that does not take a write.
type failing struct{ rollout.Store }

func (failing) Put(context.Context, string, []byte, rollout.Revision) (rollout.Revision, error) {
	return "", errors.New("disk")
}

// TestStoreFails: a code whose use cannot be stored proves nothing.
func TestStoreFails(t *testing.T) {
	store := new(memstore.Store)
	if err := totp(t, access.TOTPConfig{Store: store}).Import(t.Context(), "ana", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"); err != nil {
		t.Fatal(err)
	}
	f := totp(t, access.TOTPConfig{Store: failing{store}})
	if proved, err := f.Verify(t.Context(), "ana", f.CodeAt(key(20), time.Now().Unix())); err == nil || !proved.IsZero() {
		t.Errorf("%v, %v", proved, err)
	}
}

func TestBadFactors(t *testing.T) {
	_, err1 := access.NewTOTP(access.TOTPConfig{Issuer: "a:b", Digits: 7, Period: time.Second, Skew: 3, Algorithm: "MD5", Seal: func(string, []byte) ([]byte, error) { return nil, nil }})
	_, err2 := access.NewRecovery(access.RecoveryConfig{Key: []byte("secret")})
	var fields []string
	for e := range checks.Invalid(errors.Join(err1, err2)) {
		fields = append(fields, e.Field)
		if strings.Contains(e.Error(), "secret") {
			t.Errorf("%v holds the key", e)
		}
	}
	want := "TOTPConfig.Store TOTPConfig.Issuer TOTPConfig.Digits TOTPConfig.Period TOTPConfig.Skew TOTPConfig.Algorithm TOTPConfig.Seal RecoveryConfig.Store RecoveryConfig.Key"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	f := totp(t, access.TOTPConfig{})
	for _, user := range []string{"", strings.Repeat("x", 256)} {
		_, err1 := f.Verify(t.Context(), user, "123456")
		_, err2 := f.Enroll(t.Context(), user)
		for _, err := range []error{err1, err2, f.Remove(t.Context(), user), f.Import(t.Context(), user, "GEZDGNBVGY3TQOJQ")} {
			var invalid *checks.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != "user" {
				t.Errorf("%v, want an InvalidError", err)
			}
		}
	}
}

// TestUsedStays: a code that was used stays used when its secret is imported again, removed
// and imported, or when the period changes.
func TestUsedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
		store := new(memstore.Store)
		f := totp(t, access.TOTPConfig{Store: store})
		ctx := t.Context()
		for _, change := range []func(){
			func() {},
			func() {
				if err := f.Remove(ctx, "ana"); err != nil {
					t.Error(err)
				}
			},
		} {
			time.Sleep(2 * time.Minute)
			if err := f.Import(ctx, "ana", secret); err != nil {
				t.Fatal(err)
			}
			code := f.CodeAt(key(20), time.Now().Unix())
			if _, err := f.Verify(ctx, "ana", code); err != nil {
				t.Error(err)
			}
			change()
			if err := f.Import(ctx, "ana", secret); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Verify(ctx, "ana", code); !errors.Is(err, access.ErrCode) {
				t.Errorf("%v: a used code is accepted again", err)
			}
		}
		for _, period := range []time.Duration{time.Minute, 30 * time.Second} {
			f = totp(t, access.TOTPConfig{Store: store, Period: period})
			time.Sleep(3 * time.Minute)
			code := f.CodeAt(key(20), time.Now().Unix())
			if _, err := f.Verify(ctx, "ana", code); err != nil {
				t.Errorf("with a period of %v: %v", period, err)
			}
			if _, err := f.Verify(ctx, "ana", code); !errors.Is(err, access.ErrCode) {
				t.Errorf("with a period of %v: %v", period, err)
			}
		}
	})
}

// TestStates: an empty or short secret does not count, an enrolment ends after an hour, a
// pause that a wrong clock has made is no longer than an hour, and a state that cannot be
// read proves nothing and can be replaced.
func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		f := totp(t, access.TOTPConfig{Store: store})
		ctx := t.Context()
		const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
		if err := f.Import(ctx, "ana", secret); err != nil {
			t.Fatal(err)
		}
		var at string
		for e, err := range store.List(ctx, "access/totp/") {
			if err != nil {
				t.Fatal(err)
			}
			at = e.Key
		}
		set := func(state string) {
			e, err := store.Get(ctx, at)
			if err == nil {
				_, err = store.Put(ctx, at, []byte(state), e.Revision)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		set(`{"secret":"AA=="}`)
		if _, err := f.Verify(ctx, "ana", f.CodeAt([]byte{0}, time.Now().Unix())); err == nil {
			t.Error("a secret of one byte counts")
		}
		empty := totp(t, access.TOTPConfig{Store: store, Seal: func(string, []byte) ([]byte, error) { return []byte("x"), nil }, Open: func(string, []byte) ([]byte, error) { return nil, nil }})
		if _, err := empty.Verify(ctx, "ana", f.CodeAt(nil, time.Now().Unix())); err == nil {
			t.Error("an empty secret counts")
		}
		set("{")
		if _, err := f.Verify(ctx, "ana", "123456"); err == nil || errors.Is(err, access.ErrCode) {
			t.Errorf("%v, want an error of the state", err)
		}
		if err := f.Import(ctx, "ana", secret); err != nil {
			t.Error(err)
		}
		set(fmt.Sprintf(`{"secret":"MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=","until":%q}`, time.Now().AddDate(9, 0, 0).Format(time.RFC3339)))
		var paused *access.PausedError
		if _, err := f.Verify(ctx, "ana", f.CodeAt(key(20), time.Now().Unix())); !errors.As(err, &paused) || time.Until(paused.Until) > time.Hour {
			t.Errorf("%v, want a pause of at most an hour", err)
		}
		time.Sleep(time.Hour)
		if _, err := f.Verify(ctx, "ana", f.CodeAt(key(20), time.Now().Unix())); err != nil {
			t.Error(err)
		}
		e, err := f.Enroll(ctx, "ben")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + time.Second)
		if err := f.Confirm(ctx, "ben", f.CodeAt(secretOf(t, e), time.Now().Unix())); !errors.Is(err, access.ErrNotEnrolled) {
			t.Errorf("%v: an old enrolment is confirmed", err)
		}
	})
}

// TestNoOracle: while the store takes no write, a right code and a wrong one get the same
// answer.
func TestNoOracle(t *testing.T) {
	store := new(memstore.Store)
	if err := totp(t, access.TOTPConfig{Store: store}).Import(t.Context(), "ana", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"); err != nil {
		t.Fatal(err)
	}
	f := totp(t, access.TOTPConfig{Store: failing{store}})
	right := f.CodeAt(key(20), time.Now().Unix())
	wrong := map[bool]string{true: "1", false: "0"}[right[0] == '0'] + right[1:]
	_, err1 := f.Verify(t.Context(), "ana", right)
	_, err2 := f.Verify(t.Context(), "ana", wrong)
	if fmt.Sprint(err1) != fmt.Sprint(err2) || errors.Is(err2, access.ErrCode) {
		t.Errorf("%v and %v", err1, err2)
	}
}
