package access_test

import (
	"flag"
	"strings"
	"testing"

	"github.com/serin-go/serin/internal/mutanttest"
)

var mutate = flag.Bool("mutants", false, "plant holes and see that the simulated attacks find each")

// mutants are holes that access control has had elsewhere, as changes of a source file.
var mutants = []struct{ name, file, old, new string }{
	{"an allow that wins over a deny", "policy.go", "	case v&denied != 0:\n", "	case v&denied != 0 && v&allowed == 0:\n"},
	{"a pattern that matches its stem", "policy.go", "target[i] == '-' && i+1 < len(target)", "target[i] == '-'"},
	{"an unknown action with the rights of another", "policy.go", "	if !known {\n		return errUnknown\n	}\n	var v verdict\n", "	_ = known\n	var v verdict\n"},
	{"a deny that only counts for the first role", "policy.go", "				v |= r[action].of(target)\n", "				v |= r[action].of(target)\n				break\n"},
	{"a session without a longest life", "session.go", "	return at.Before(doc.Began.Add(s.cfg.Life)) && at", "	return at"},
	{"a session that never idles out", "session.go", " && at.Before(doc.Seen.Add(s.cfg.Idle)) && doc", " && doc"},
	{"roles that are never read again", "session.go", "at.Sub(doc.Read) >= rolesValid", "at.Sub(doc.Read) >= 100*rolesValid"},
	{"a directory whose error is ignored", "session.go", "			return session{}, fmt.Errorf(\"access: reading the roles: %w\", err)\n", "			roles = doc.Actor.Roles\n"},
	{"a step-up that keeps the former token", "session.go", "		err = s.cfg.Store.Delete(r.Context(), sessionKey(token), rev)\n", "		_, err = rev, nil\n"},
	{"a sign-in that keeps the former session", "session.go", "	if err := s.forget(r); err != nil {\n		return err\n	}\n	at :=", "	at :="},
	{"a sign-out that ends nothing", "session.go", "MaxAge: -1})\n	return s.forget(r)\n", "MaxAge: -1})\n	return nil\n"},
	{"a revocation of nothing", "session.go", "		return quorum.Same(doc", "		return false && quorum.Same(doc"},
	{"a code that is accepted twice", "totp.go", "return step >= used && ", "return "},
	{"a step that is used up too late", "totp.go", "max(s.Used, step+1)", "max(s.Used, step)"},
	{"a skew of one period too many", "totp.go", "d <= uint64(t.cfg.Skew)", "d <= uint64(t.cfg.Skew)+1"},
	{"guesses without an end", "factor.go", "len(t.Failures) >= maxFailures", "len(t.Failures) >= 1000"},
	{"a pause that is not waited for", "factor.go", "at.Before(t.Until)", "false"},
	{"a failure that is not stored", "totp.go", "			s.fail(at)\n			return true, ErrCode\n", "			s.fail(at)\n			return false, ErrCode\n"},
	{"a recovery code that is accepted twice", "recovery.go", "		s.Digests = slices.Delete(s.Digests, found, found+1)\n", "		slices.Sort([]int{found})\n"},
	{"a token that never ends", "authenticate.go", "!ok || !time.Now().Before(t.Until)", "!ok"},
	{"a header that is believed from anywhere", "authenticate.go", "err != nil || !slices.ContainsFunc(h.Trusted,", "err != nil && !slices.ContainsFunc(h.Trusted,"},
}

// rolloutMutants are holes beside access control, in what it stands before.
var rolloutMutants = []struct{ name, file, old, new string }{
	{"commands without a right", "../actor.go", "	err := e.cfg.Authorize(ctx, by, what, target)\n	if err == nil {", "	err := e.cfg.Authorize(ctx, by, what, target)\n	if what != \"start\" || err == nil {"},
	{"a plan without demands, and no right to it", "../demand.go", "		return e.authorize(ctx, by, ActionConfigure, p.Target)\n", "		return nil\n"},
	{"demands that no plan must meet", "../demand.go", "	return d.Check(p)\n}\n\n// weakness", "	_ = d\n	return nil\n}\n\n// weakness"},
	{"a starter who approves", "../../strategies/approval.go", "case a.FourEyes && (v.Person()", "case false && (v.Person()"},
	{"an approval with an old second factor", "../../strategies/approval.go", "case a.MFA > 0 && v.At.Sub(v.Proved) > a.MFA:", "case a.MFA > 0 && v.At.Sub(v.Proved) > a.MFA*6:"},
	{"one person for two rules", "../../internal/quorum/quorum.go", "				held[i] = append(held[i], person)\n				return true\n", "				held[i] = append(held[i], person)\n				continue\n"},
	{"records without a right", "../ledger/vouch.go", "	if l.cfg.Authorize == nil {\n", "	if l.cfg.Authorize != nil {\n"},
	{"a waiver of a firm item", "../ledger/vouch.go", "		if i.Firm {\n", "		if false {\n"},
	{"a waiver without an end", "../../checks/checklist/evaluate.go", "!ok || !e.now.Before(r.Until)", "!ok"},
	{"a waiver of any length", "../ledger/vouch.go", "left <= 0 || left > l.cfg.MaxWaiver", "left <= 0"},
	{"a waiver of the one who has started", "../../checks/checklist/evaluate.go", "case r.gone, i.Attest != nil && i.Attest.Others && (", "case r.gone, false && ("},
	{"a vote of the one who has started", "../../checks/checklist/votes.go", "	case a.Others && e.starter(r.By):\n", "	case false:\n"},
	{"a vote of any age", "../../checks/checklist/votes.go", "		if !e.now.Before(h.till) {\n", "		if false {\n"},
	{"a vote that was withdrawn", "../../checks/checklist/votes.go", "		if r.gone {\n			continue\n", "		if r.gone {\n"},
	{"evidence of another candidate", "../../checks/checklist/evaluate.go", "	if have != want {\n", "	if false {\n"},
	{"evidence of another target", "../../checks/checklist/evaluate.go", "e.subject.Target; have != want {", "e.subject.Target; false && have != want {"},
}

// TestMutantsFit: each hole still has its place in the source.
func TestMutantsFit(t *testing.T) {
	for _, m := range append(mutants, rolloutMutants...) {
		mutanttest.Fits(t, m.name, mutanttest.Patch{File: m.file, Old: m.old, New: m.new})
	}
}

// TestMutants plants each hole, and runs the simulated attacks. It needs -mutants.
func TestMutants(t *testing.T) {
	if !*mutate {
		t.Skip("give -mutants to plant holes")
	}
	find := func(m struct{ name, file, old, new string }, args ...string) {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			out, passed := mutanttest.Run(t, []mutanttest.Patch{{File: m.file, Old: m.old, New: m.new}}, args...)
			switch {
			case passed:
				t.Errorf("the attacks do not find %s", m.name)
			case !strings.Contains(out, "TestAttack"):
				t.Errorf("%s does not compile:\n%s", m.name, out)
			}
		})
	}
	for _, m := range mutants {
		find(m, "-run", "^TestAttack$", "-attacks", "1000")
	}
	for _, m := range rolloutMutants {
		find(m, "-run", "^TestAttackRollout$", "-sieges", "400")
	}
}
