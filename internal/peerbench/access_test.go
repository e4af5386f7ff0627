package peerbench

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/cedar-policy/cedar-go"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/memstore"
)

// BenchmarkAuthorize decides for an actor of one role among n, beside casbin and cedar-go.
func BenchmarkAuthorize(b *testing.B) {
	for _, n := range []int{10, 1000} {
		var grants []access.Grant
		m, err := model.NewModelFromString(`
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
`)
		if err != nil {
			b.Fatal(err)
		}
		e, err := casbin.NewEnforcer(m)
		if err != nil {
			b.Fatal(err)
		}
		var text bytes.Buffer
		for i := range n {
			role := fmt.Sprintf("role-%d", i)
			grants = append(grants, access.Grant{Role: role, Actions: []rollout.Action{"start"}, Targets: []string{"chat"}})
			e.AddPolicy(role, "chat", "start")
			fmt.Fprintf(&text, "permit (principal in Role::%q, action == Action::\"start\", resource == Target::\"chat\");\n", role)
		}
		e.AddRoleForUser("ana", "role-0")
		policy, err := access.NewPolicy(grants...)
		if err != nil {
			b.Fatal(err)
		}
		set, err := cedar.NewPolicySetFromBytes("policy.cedar", text.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		ana := cedar.NewEntityUID("User", "ana")
		entities := cedar.EntityMap{ana: {UID: ana, Parents: cedar.NewEntityUIDSet(cedar.NewEntityUID("Role", "role-0"))}}
		by := rollout.Actor{Name: "ana", Roles: []string{"role-0"}}
		for _, c := range []struct {
			name   string
			action rollout.Action
			want   bool
		}{{"allow", "start", true}, {"deny", "abort", false}} {
			b.Run(fmt.Sprintf("serin/%s/%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				ctx := context.Background()
				for b.Loop() {
					if (policy.Authorize(ctx, by, c.action, "chat") == nil) != c.want {
						b.Fatal("wrong")
					}
				}
			})
			b.Run(fmt.Sprintf("casbin/%s/%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if ok, err := e.Enforce("ana", "chat", string(c.action)); ok != c.want || err != nil {
						b.Fatal(ok, err)
					}
				}
			})
			b.Run(fmt.Sprintf("cedar/%s/%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				req := cedar.Request{Principal: ana, Action: cedar.NewEntityUID("Action", cedar.String(c.action)), Resource: cedar.NewEntityUID("Target", "chat")}
				for b.Loop() {
					if d, _ := cedar.Authorize(set, entities, req); bool(d) != c.want {
						b.Fatal("wrong")
					}
				}
			})
		}
	}
}

// TestTOTPOracle: both accept the code of the other, in each algorithm and length.
func TestTOTPOracle(t *testing.T) {
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for name, algorithm := range map[string]otp.Algorithm{"SHA1": otp.AlgorithmSHA1, "SHA256": otp.AlgorithmSHA256, "SHA512": otp.AlgorithmSHA512} {
		for _, digits := range []int{6, 8} {
			f, err := access.NewTOTP(access.TOTPConfig{Store: new(memstore.Store), Issuer: "Serin", Algorithm: name, Digits: digits})
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Import(t.Context(), "ana", secret); err != nil {
				t.Fatal(err)
			}
			code, err := totp.GenerateCodeCustom(secret, time.Now(), totp.ValidateOpts{Period: 30, Digits: otp.Digits(digits), Algorithm: algorithm})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Verify(t.Context(), "ana", code); err != nil {
				t.Errorf("%s, %d digits: %v", name, digits, err)
			}
		}
	}
}

// BenchmarkTOTP verifies a code and stores its use in memory, beside a validation without a
// memory, which accepts a code twice.
func BenchmarkTOTP(b *testing.B) {
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	b.Run("serin", func(b *testing.B) {
		f, err := access.NewTOTP(access.TOTPConfig{Store: new(memstore.Store), Issuer: "Serin"})
		if err != nil {
			b.Fatal(err)
		}
		user := func(i int) string { return fmt.Sprint("user-", i) } // a code counts once for each
		for i := range b.N {
			if err := f.Import(b.Context(), user(i), secret); err != nil {
				b.Fatal(err)
			}
		}
		code, err := totp.GenerateCode(secret, time.Now())
		if err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		for i := range b.N {
			if _, err := f.Verify(b.Context(), user(i), code); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pquerna", func(b *testing.B) {
		code, err := totp.GenerateCode(secret, time.Now())
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if ok, err := totp.ValidateCustom(code, secret, time.Now(), totp.ValidateOpts{Period: 30, Skew: 1, Digits: 6}); !ok || err != nil {
				b.Fatal(err)
			}
		}
	})
}
