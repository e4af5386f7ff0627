package suitetest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/serin-go/serin/internal/suitetest"
)

// part is a suite with one part.
func part(f func(t *testing.T)) suitetest.Broken {
	return suitetest.Broken{Part: "Part", Suite: func(t *testing.T) { t.Run("Part", f) }}
}

func TestFails(t *testing.T) {
	suitetest.Fails(t, map[string]suitetest.Broken{
		"an error":          part(func(t *testing.T) { t.Error("broken") }),
		"a panic":           part(func(t *testing.T) { suitetest.Call(t, "f", func() { panic("broken") }) }),
		"a call that hangs": part(func(t *testing.T) { suitetest.Call(t, "f", func() { select {} }) }),
		"a panic of one of the calls": part(func(t *testing.T) {
			suitetest.Together(t, "f", func(i int) {
				if i == 5 {
					panic("broken")
				}
			})
		}),
		"one of the calls hangs": part(func(t *testing.T) {
			suitetest.Together(t, "f", func(i int) {
				if i == 5 {
					select {}
				}
			})
		}),
		"calls at the same time": part(func(t *testing.T) {
			crowd := suitetest.NewCrowd()
			suitetest.Together(t, "f", func(int) {
				if crowd.Meet() {
					t.Error("broken")
				}
			})
		}),
	})
}

// TestGoodOne is a test of a suite that does not fail for a broken implementation. It runs
// in the processes that TestFailsNoticesGoodOnes starts.
func TestGoodOne(t *testing.T) {
	good := map[string]suitetest.Broken{
		"passes":     part(func(*testing.T) {}),
		"skips":      part(func(t *testing.T) { t.Skip("no such method") }),
		"fails late": {Part: "Part", Suite: func(t *testing.T) { t.Run("Another", func(t *testing.T) { t.Error("broken") }) }},
		"no calls at the same time": part(func(t *testing.T) {
			if suitetest.NewCrowd().Meet() {
				t.Error("one call has met itself")
			}
		}),
	}
	name, ok := os.LookupEnv("SERIN_GOOD")
	if !ok {
		t.Skip("for TestFailsNoticesGoodOnes")
	}
	suitetest.Fails(t, map[string]suitetest.Broken{name: good[name]})
}

func TestFailsNoticesGoodOnes(t *testing.T) {
	for _, name := range []string{"passes", "skips", "fails late", "no calls at the same time"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestGoodOne$", "-test.v")
		cmd.Env = append(os.Environ(), "SERIN_GOOD="+name)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "--- FAIL: TestGoodOne/"+strings.ReplaceAll(name, " ", "_")) {
			t.Errorf("Fails passes for a part that %s: %v\n%s", name, err, out)
		}
	}
}
