package rollout

import (
	"flag"
	"strings"
	"testing"

	"github.com/serin-go/serin/internal/mutanttest"
)

var mutate = flag.Bool("mutants", false, "plant bugs and see that the simulation finds each")

// mutants are bugs that engines like this one have had, as changes of a source
// file. The simulation is worth something only as long as it finds them.
var mutants = []struct{ name, file, old, new string }{
	{
		"a gate that is not waited for", "surroundings.go",
		"	return s\n}\n",
		"	if s.Phase.Checking() {\n\t\ts.Checked, s.Checks = true, 1\n\t}\n\treturn s\n}\n",
	},
	{
		"effect before the commit", "commit.go",
		"	rev, err = d.e.cfg.Store.Put(",
		"	_ = d.splitter.SetSplit(ctx, next.Split)\n\trev, err = d.e.cfg.Store.Put(",
	},
	{
		"bake time counted from before the stage", "document.go",
		"	return d.Phase == o.Phase && d.Stage == o.Stage && d.Step == o.Step && d.Paused == o.Paused\n",
		"	return true\n",
	},
	{
		"a claim that does not raise the epoch", "driver.go",
		"	claim.Epoch, claim.Last.Epoch = epoch, epoch\n",
		"",
	},
	{
		"writes that do not look at what is there", "commit.go",
		"	rev, err = d.e.cfg.Store.Put(ctx, documentKey(d.target), value, d.rev)\n",
		"	there, _ := d.e.cfg.Store.Get(ctx, documentKey(d.target))\n\trev, err = d.e.cfg.Store.Put(ctx, documentKey(d.target), value, there.Revision)\n",
	},
	{
		"weights that come back after a rollback", "document.go",
		"		split = split.RollBack()\n",
		"		split = d.Plan.Stages[dec.Stage].Split\n",
	},
	{
		"splits that never expire", "follower.go",
		"	x.Expire(until)\n}\n",
		"	x.Expire(time.Time{})\n}\n",
	},
	{
		"an audit entry that its dead author owed", "commit.go",
		"doc, hash, rev, true\n",
		"doc, hash, rev, false\n",
	},
	{
		"stages that nobody approves", "../strategies/rules.go",
		"	if stages[i].Approve != nil {\n",
		"	if false {\n",
	},
	{
		"four eyes that are two", "../strategies/approval.go",
		"	case a.FourEyes && (v.Person() == starter || v.Person() == Person(\"\", starter)):\n",
		"	case false:\n",
	},
	{
		"commands acknowledged though they were not stored", "driver.go",
		"	if err := d.commit(ctx, next); err != nil {\n\t\treturn err\n\t}\n\tif dec.Do == strategies.DoResume",
		"	if err := d.commit(ctx, next); err != nil {\n\t\treturn nil\n\t}\n\tif dec.Do == strategies.DoResume",
	},
	{
		"events ticked off before they were delivered", "outbox.go",
		"	err = offer(offering, f.sink, d.ev)\n",
		"	_ = offer(offering, f.sink, d.ev)\n",
	},
	{
		"a life that writes over the one before", "evidence.go",
		"\treturn evidencePrefix(id) + e.cfg.Replica + \".\" + e.life\n",
		"\treturn evidencePrefix(id) + e.cfg.Replica\n",
	},
	{
		"evidence that dies with its process", "evidence.go",
		"	missing = d.publish(ctx, own)\n",
		"",
	},
	{
		"time measured by a clock that people set", "driver.go",
		"	now := time.Now()\n	if !d.counted.IsZero() &&",
		"	now := d.e.cfg.wall()\n	if !d.counted.IsZero() &&",
	},
	{
		"a way back that waits for the store", "gate.go",
		"	if x := d.exitOf(dec); x != nil {\n\t\td.lower(ctx, x)\n\t}\n\td.late",
		"	d.late",
	},
	{
		"a way back that lowers nothing until it is stored", "exit.go",
		"	case f.out != nil && f.out.arms == nil:\n",
		"	case false:\n",
	},
	{
		"an audit entry in the way that stops everything", "keys.go",
		"	if err == nil || !giveUp && !errors.Is(err, errInTheWay) && !errors.Is(err, ErrDamaged) {\n",
		"	if true {\n",
	},
	{
		"a checkpoint that fills the audit trail", "driver.go",
		"	if d.notice == \"\" && time.Since(d.told) < signOfLife {\n",
		"	if d.notice == \"\" && time.Since(d.told) < 6*d.e.cfg.Checkpoint {\n",
	},
	{
		"checkpoints that are not counted", "document.go",
		"	next.Notes++\n",
		"",
	},
	{
		"an event that is taken for a checkpoint", "document.go",
		"	next.Seq, next.Note = next.Seq+1, nil\n",
		"	next.Seq++\n",
	},
	{
		"a stage that is passed over", "../strategies/rules.go",
		"		return arrive(stages, s.Stage+1, rule, reason)\n",
		"		return arrive(stages, len(stages)-1, rule, reason)\n",
	},
	{
		"a bake that is not served", "../strategies/rules.go",
		"	case s.Baked < stage.Bake:\n",
		"	case s.Baked < stage.Bake/2:\n",
	},
}

// TestMutants plants each bug in a copy of the source and demands that the
// simulation fails, or the tests that are named with it.
//
//	go test ./rollout -run Mutants -mutants
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		mutanttest.Fits(t, m.name, mutanttest.Patch{File: m.file, Old: m.old, New: m.new})
	}
	for _, m := range namedMutants {
		mutanttest.Fits(t, m.name, mutanttest.Patch{File: m.file, Old: m.old, New: m.new})
	}
	if !*mutate || t.Failed() {
		t.Skip("planting the bugs takes minutes; ask for it with -mutants")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			out, passed := mutanttest.Run(t, []mutanttest.Patch{{File: m.file, Old: m.old, New: m.new}}, "-run", "^TestSimulation$", "-sims", "4000", "-failfast", "-timeout", "15m", ".")
			switch {
			case passed:
				t.Error("the simulation does not find it")
			case strings.Contains(out, "panic: runtime error"):
				t.Log("found by a panic")
			case !strings.Contains(out, "repeat with"):
				t.Errorf("failed otherwise than by a law:\n%s", out)
			default:
				_, law, _ := strings.Cut(out, "):\n")
				law, _, _ = strings.Cut(strings.TrimSpace(law), "\n")
				t.Logf("found by law %s", law)
			}
		})
	}
	for _, m := range namedMutants {
		t.Run(m.name, func(t *testing.T) {
			out, passed := mutanttest.Run(t, []mutanttest.Patch{{File: m.file, Old: m.old, New: m.new}}, "-run", m.test, "-failfast", "-timeout", "5m", ".")
			if passed || !strings.Contains(out, "--- FAIL: Test") {
				t.Errorf("tests %s do not find it:\n%s", m.test, out)
			}
		})
	}
}
