package alert_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/memstore"
)

func TestResolveAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, r := new(memstore.Store), &receiver{}
		m, stop := start(t, alert.Config{Store: store, Receivers: one(r)})
		a := set(t, m, queue("chat"))
		wait(time.Minute)
		want(t, "before", r.story(), []string{"QueueGrowing warning fires"})
		stop()
		m, _ = start(t, alert.Config{Store: store, Receivers: one(r)})
		wait(5 * time.Minute)
		clear(t, m, a)
		wait(time.Hour)
		want(t, "after", r.story(), []string{"QueueGrowing warning fires", "QueueGrowing warning ended"})
		set(t, m, a) // it is sent again
		wait(time.Minute)
		if len(r.story()) != 3 {
			t.Errorf("fires again: %q", r.story())
		}
		if h := m.History(); len(h) != 0 {
			t.Errorf("history %v", h)
		}
		clear(t, m, a)
		if h := m.History(); len(h) != 1 || h[0].Ended.IsZero() || len(m.Firing()) != 0 {
			t.Errorf("history %v, firing %v", h, m.Firing())
		}
	})
}

func TestFlappingIsOneAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, on := &receiver{}, new(atomic.Bool)
		on.Store(true)
		rule := alert.RuleFunc(func(context.Context, time.Time) []alert.Alert {
			if on.Load() {
				return []alert.Alert{queue("chat")}
			}
			return nil
		})
		start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r), Rules: map[string]alert.Rule{"queue": rule}})
		for range 10 {
			on.Store(true)
			wait(30 * time.Second)
			on.Store(false)
			wait(30 * time.Second)
		}
		wait(time.Hour)
		want(t, "told", r.story(), []string{"QueueGrowing warning fires", "QueueGrowing warning ended"})
	})
}

func TestRuleMustHoldFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, on := &receiver{}, new(atomic.Bool)
		on.Store(true)
		rule := alert.Timed{For: 2 * time.Minute, Rule: alert.RuleFunc(func(context.Context, time.Time) []alert.Alert {
			if on.Load() {
				return []alert.Alert{queue("chat")}
			}
			return nil
		})}
		start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r), Rules: map[string]alert.Rule{"queue": rule}})
		wait(90 * time.Second)
		on.Store(false)
		wait(time.Minute)
		on.Store(true)
		wait(110 * time.Second)
		want(t, "too short", r.story(), nil)
		wait(time.Minute)
		want(t, "long enough", r.story(), []string{"QueueGrowing warning fires"})
	})
}

func TestProcessesShareOneStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, r := new(memstore.Store), &receiver{}
		var all []*alert.Manager
		for i := range 3 {
			m, _ := start(t, alert.Config{Store: store, Receivers: one(r), Replica: fmt.Sprint("r", i),
				Rules: map[string]alert.Rule{"memory": alert.RuleFunc(func(context.Context, time.Time) []alert.Alert { return []alert.Alert{critical("chat")} })}})
			all = append(all, m)
		}
		wait(2 * time.Minute)
		for _, m := range all {
			set(t, m, queue("chat"))
		}
		wait(10 * time.Minute)
		for _, m := range all {
			clear(t, m, queue("chat"))
		}
		wait(10 * time.Minute)
		want(t, "told", r.story(), []string{"OutOfMemory critical fires", "QueueGrowing warning fires", "QueueGrowing warning ended"})
	})
}

func TestCriticalDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, hanging := &receiver{}, &receiver{hang: true}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"chat": r, "hangs": hanging}})
		before := runtime.NumGoroutine()
		for i := range 20 {
			set(t, m, queue(fmt.Sprint("t", i)))
		}
		wait(30 * time.Second)
		if n := len(r.story()); n != 20 {
			t.Errorf("a receiver that hangs has held up another: %d of 20 messages", n)
		}
		began := time.Now()
		set(t, m, critical("chat"))
		set(t, m, critical("t1"))
		wait(time.Second)
		n := 0
		for i, at := range r.times() {
			if strings.Contains(r.story()[i], "critical") && at.Sub(began) <= time.Second {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%d critical messages within 1 s: %q", n, r.story())
		}
		wait(5 * time.Minute)
		if hanging.most > 2 {
			t.Errorf("%d calls at a time of a receiver that hangs", hanging.most)
		}
		if after := runtime.NumGoroutine(); after > before+2+2 {
			t.Errorf("%d goroutines, before %d", after, before)
		}
	})
}

// A critical message passes messages to the same receiver that hang, critical ones too.
func TestCriticalPassesWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"pager": alert.NotifierFunc(func(ctx context.Context, n alert.Notification) error {
			if !strings.Contains(n.Group, "good") {
				<-ctx.Done()
				return ctx.Err()
			}
			return r.Notify(ctx, n)
		})}})
		set(t, m, queue("bad1"))
		wait(15 * time.Second) // hangs in the first slot
		set(t, m, critical("bad2"))
		wait(100 * time.Millisecond)
		for i := range 5 {
			began := time.Now()
			set(t, m, critical(fmt.Sprint("good", i)))
			wait(1100 * time.Millisecond)
			at := r.times()
			if len(at) != i+1 || at[i].Sub(began) > time.Second+50*time.Millisecond {
				t.Fatalf("message %d is told at %v, began %v", i, at, began)
			}
			wait(time.Minute)
		}
	})
}

func TestGroupsOfManyAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, r := new(memstore.Store), &receiver{}
		m, _ := start(t, alert.Config{Store: store, Receivers: one(r)})
		errs := make(chan error, 10_000)
		for i := range 10_000 {
			go func() {
				a := queue("chat")
				a.Labels["replica"] = fmt.Sprint(i)
				errs <- m.Set(t.Context(), a)
			}()
		}
		for range 10_000 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		wait(45 * time.Second)
		got := r.messages()
		if len(got) != 1 || len(got[0].Alerts) != 10 || got[0].More < 9_900 {
			t.Fatalf("%d messages, the first with %d alerts and %d more", len(got), len(got[0].Alerts), got[0].More)
		}
		e, err := store.Get(t.Context(), "alert/main")
		if c := m.Counts(); err != nil || len(e.Value) > rollout.MaxValue || c.Firing > 1001 || c.Firing+c.Counted < 10_000 || c.Lost != 0 {
			t.Errorf("%d bytes, %+v, %v", len(e.Value), c, err)
		}
		for i := range 10_000 { // all end
			a := queue("chat")
			a.Labels["replica"] = fmt.Sprint(i)
			go func() { errs <- m.Clear(t.Context(), a.Key()) }()
		}
		for range 10_000 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		wait(10 * time.Minute)
		if c := m.Counts(); c.Firing != 0 || c.Counted != 0 {
			t.Errorf("%+v", c)
		}
	})
}

func TestSourceThatGoesQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, how := range []string{"hangs", "panics", "does not know"} {
			r, state := &receiver{}, new(atomic.Value)
			state.Store("fires")
			rule := alert.RuleFunc(func(ctx context.Context, _ time.Time) []alert.Alert {
				switch state.Load() {
				case "hangs":
					<-ctx.Done()
					return nil
				case "panics":
					panic("lost")
				case "does not know":
					a := queue("chat")
					a.Unknown = true
					return []alert.Alert{a}
				case "fires":
					return []alert.Alert{queue("chat")}
				}
				return nil
			})
			_, stop := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r), Rules: map[string]alert.Rule{"queue": alert.Timed{Rule: rule, Keep: time.Minute}}})
			wait(5 * time.Minute)
			state.Store(how)
			wait(10 * time.Minute)
			want(t, how, r.story(), []string{"QueueGrowing warning fires", "QueueGrowing warning unknown"})
			state.Store("holds")
			wait(10 * time.Minute)
			if s := r.story(); s[len(s)-1] != "QueueGrowing warning ended" || strings.Count(strings.Join(s, ""), "ended") != 1 {
				t.Errorf("%s, after the recovery: %q", how, s)
			}
			stop()
		}
	})
}

// An alert of a process that has ended for good goes on as Unknown.
func TestSourceThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, r := new(memstore.Store), &receiver{}
		calm := alert.RuleFunc(func(context.Context, time.Time) []alert.Alert { return nil })
		start(t, alert.Config{Store: store, Receivers: one(r), Replica: "a", Rules: map[string]alert.Rule{"queue": calm}})
		_, stop := start(t, alert.Config{Store: store, Receivers: one(r), Replica: "b", Rules: map[string]alert.Rule{"queue": alert.RuleFunc(func(context.Context, time.Time) []alert.Alert {
			return []alert.Alert{queue("chat")}
		})}})
		wait(5 * time.Minute)
		stop()
		wait(time.Hour)
		want(t, "told", r.story(), []string{"QueueGrowing warning fires", "QueueGrowing warning unknown"})
	})
}

func TestSilenceEndsWhileItFires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
		if _, err := m.Silence(t.Context(), alert.Silence{Match: map[string]string{"target": "chat"}, To: time.Now().Add(time.Hour), Reason: "maintenance"}, ana); err != nil {
			t.Fatal(err)
		}
		ended := set(t, m, critical("chat"))
		set(t, m, queue("chat"))
		set(t, m, queue("other"))
		wait(30 * time.Minute)
		want(t, "silent", r.story(), []string{"QueueGrowing warning fires"})
		clear(t, m, ended)
		wait(30 * time.Minute)
		wait(time.Minute)
		s := r.story()
		slices.Sort(s)
		want(t, "after", s, []string{"QueueGrowing warning fires", "QueueGrowing warning fires; SilenceEnded info fires"}[:len(s)])
		all := strings.Join(s, "\n")
		if strings.Count(all, "QueueGrowing warning fires") != 2 || !strings.Contains(all, "SilenceEnded") {
			t.Errorf("after the silence: %q", s)
		}
		for _, n := range r.messages() {
			for _, a := range n.Alerts {
				if a.Name == "SilenceEnded" && !strings.Contains(a.Summary, "OutOfMemory 1") {
					t.Error(a.Summary)
				}
			}
		}
	})
}

func TestSilenceRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		var notes []string
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r), Note: func(_ context.Context, name string, _ any, by rollout.Actor) error {
			notes = append(notes, name+" "+by.Name)
			return nil
		}})
		begin := event(rollout.Started, 1)
		begin.By = ana
		notifyAll(t, m, begin)
		own := alert.Silence{Match: map[string]string{"target": "chat"}, To: time.Now().Add(time.Hour), Reason: "mine"}
		id, err := m.Silence(t.Context(), own, ana)
		if err != nil {
			t.Fatal(err)
		}
		held := event(rollout.Paused, 2)
		held.Rule = "limit"
		notifyAll(t, m, held)
		wait(2 * time.Minute)
		want(t, "the starter alone", r.story(), []string{"RolloutHeld warning fires"})
		var invalid *checks.InvalidError
		if err := m.Second(t.Context(), id, rollout.Actor{Name: "Ana "}); !errors.As(err, &invalid) {
			t.Errorf("seconded by oneself: %v", err)
		}
		for who, may := range map[string]bool{"Ana ": false, "ben": true} {
			if err := m.MaySecond(t.Context(), id, rollout.Actor{Name: who}); (err == nil) != may {
				t.Errorf("%s may agree: %v", who, err)
			}
		}
		for range 2 {
			if err := m.Second(t.Context(), id, ben); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Second(t.Context(), id, rollout.Actor{Name: "cem"}); !errors.As(err, &invalid) || m.MaySecond(t.Context(), id, rollout.Actor{Name: "cem"}) == nil {
			t.Errorf("a third person takes the place of the second: %v", err)
		}
		resumed := event(rollout.Resumed, 3)
		notifyAll(t, m, resumed)
		wait(2 * time.Minute)
		again := event(rollout.Paused, 4)
		again.Rule = "limit"
		notifyAll(t, m, again)
		wait(2 * time.Minute)
		want(t, "with a second person", r.story(), []string{"RolloutHeld warning fires", "RolloutHeld warning ended"})
		if err := m.Unsilence(t.Context(), id, ben); err != nil {
			t.Fatal(err)
		}
		wait(2 * time.Minute)
		want(t, "ended early", r.story(), []string{"RolloutHeld warning fires", "RolloutHeld warning ended", "RolloutHeld warning fires"})
		long := alert.Silence{Match: map[string]string{"target": "other"}, To: time.Now().Add(30 * 24 * time.Hour), Reason: "migration"}
		if _, err := m.Silence(t.Context(), long, ben); err != nil {
			t.Fatal(err)
		}
		set(t, m, queue("other"))
		wait(time.Minute)
		if n := len(r.story()); n != 4 {
			t.Errorf("a long silence of one person holds: %q", r.story())
		}
		want(t, "notes", notes[:5], []string{"alert silence ana", "alert silence seconded ben", "alert silence seconded ben", "alert silence ended ben", "alert silence over ana"})
		if err := errors.Join(m.Second(t.Context(), id, ben), m.MaySecond(t.Context(), id, ben)); !errors.As(err, &invalid) {
			t.Errorf("a silence that has ended: %v", err)
		}
		for _, err := range []error{m.Second(t.Context(), "nothing", ben), m.MaySecond(t.Context(), "nothing", ben)} {
			if !errors.Is(err, rollout.ErrNotFound) {
				t.Error(err)
			}
		}
	})
}

func TestSilenceOfWindows(t *testing.T) {
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Skip(err)
	}
	synctest.Test(t, func(t *testing.T) {
		store, r := new(memstore.Store), &receiver{}
		m, err := alert.New(alert.Config{Store: store, Receivers: one(r)})
		if err != nil {
			t.Fatal(err)
		}
		// Bubbles begin on 1 January 2000. Summer time began on 26 March, and ended on 29
		// October. The window is from 3:30 to 4:30 in Vienna, whatever UTC says.
		from := time.Date(2000, 3, 24, 12, 0, 0, 0, time.UTC)
		wait(time.Until(from))
		id, err := m.Silence(t.Context(), alert.Silence{Match: map[string]string{"target": "chat"}, To: from.Add(300 * 24 * time.Hour), Reason: "nightly job",
			Windows: []rollout.Window{{From: "03:30", To: "04:30", Zone: "Europe/Vienna"}}}, ana)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Second(t.Context(), id, ben); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			at     time.Time
			silent bool
		}{
			{time.Date(2000, 3, 25, 3, 45, 0, 0, vienna), true}, // 2:45 in UTC
			{time.Date(2000, 3, 25, 5, 0, 0, 0, vienna), false},
			{time.Date(2000, 3, 26, 3, 45, 0, 0, vienna), true}, // 1:45 in UTC
			{time.Date(2000, 3, 26, 4, 45, 0, 0, vienna), false},
			{time.Date(2000, 10, 28, 3, 45, 0, 0, vienna), true}, // 1:45 in UTC
			{time.Date(2000, 10, 29, 3, 15, 0, 0, vienna), false},
			{time.Date(2000, 10, 29, 3, 45, 0, 0, vienna), true}, // 2:45 in UTC
		} {
			wait(time.Until(tt.at))
			before := len(r.story())
			m, stop := start(t, alert.Config{Store: store, Receivers: one(r)})
			a := set(t, m, queue("chat"))
			wait(5 * time.Minute)
			if told := len(r.story()) > before; told == tt.silent {
				t.Errorf("%v: told %v, want silent %v", tt.at, told, tt.silent)
			}
			clear(t, m, a)
			wait(5 * time.Minute)
			stop()
		}
	})
}

func TestDeadLetterGoesToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := &receiver{}, &receiver{}
		bad.set(false, func(alert.Notification) error { return rollout.Permanent(errors.New("answered 400")) })
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"good": good, "bad": bad},
			Routes: []alert.Route{{To: []string{"good", "bad"}, Repeat: 20 * time.Minute}}})
		set(t, m, critical("chat"))
		wait(time.Minute)
		want(t, "told", good.story(), []string{"OutOfMemory critical fires", "DeadLetter error fires"})
		if bad.calls != 2 || m.Counts().Broken["bad"] != 2 {
			t.Errorf("%d calls, %+v", bad.calls, m.Counts())
		}
		bad.set(false, nil)
		wait(25 * time.Minute) // what still fires is sent again
		want(t, "mended", bad.story()[:1], []string{"OutOfMemory critical fires"})
		if s := good.story(); s[len(s)-1] != "DeadLetter error ended" && !slices.Contains(s, "DeadLetter error ended") {
			t.Errorf("the dead letter goes on: %q", s)
		}
	})
}

func TestRetryAfterOfReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, began := &receiver{}, time.Now()
		r.set(false, func(alert.Notification) error {
			if time.Since(began) < 90*time.Second {
				return after(90*time.Second - time.Since(began))
			}
			return nil
		})
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
		set(t, m, critical("chat"))
		wait(5 * time.Minute)
		if r.calls != 2 || len(r.story()) != 1 {
			t.Errorf("%d calls, %q", r.calls, r.story())
		}
	})
}

type after time.Duration

func (after) Error() string               { return "too many requests" }
func (a after) RetryAfter() time.Duration { return time.Duration(a) }

func TestRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r), Routes: []alert.Route{{To: []string{"chat"}, Repeat: 20 * time.Minute}}})
		set(t, m, queue("chat"))
		info := queue("other")
		info.Severity = alert.Info
		set(t, m, info)
		wait(65 * time.Minute)
		want(t, "told", r.story(), []string{"QueueGrowing warning fires", "QueueGrowing info fires", "QueueGrowing warning fires", "QueueGrowing warning fires", "QueueGrowing warning fires"})
		info.Severity = alert.Error // it has become worse
		set(t, m, info)
		wait(time.Minute)
		if s := r.story(); s[len(s)-1] != "QueueGrowing error fires" {
			t.Errorf("%q", s)
		}
		info.Severity = alert.Warning // and better, which is not told
		set(t, m, info)
		wait(10 * time.Minute)
		if s := r.story(); s[len(s)-1] != "QueueGrowing error fires" {
			t.Errorf("%q", s)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, r := new(memstore.Store), &receiver{}
		for range 4 {
			var stops []func()
			for i := range 2 {
				_, stop := start(t, alert.Config{Store: store, Receivers: one(r), Heartbeat: "chat", Replica: fmt.Sprint("r", i)})
				stops = append(stops, stop)
			}
			wait(time.Minute)
			for _, stop := range stops {
				stop()
			}
			time.Sleep(24 * time.Hour)
		}
		want(t, "told", r.story(), slices.Repeat([]string{"Heartbeat info fires"}, 4))
	})
}

func TestTexts(t *testing.T) {
	m, err := alert.New(alert.Config{Store: new(memstore.Store), Receivers: one(&receiver{}), URL: "https://console.example.com/"})
	if err != nil {
		t.Fatal(err)
	}
	a := queue("chat")
	a.Labels["rollout"] = "chat/17"
	a.Summary = strings.Repeat("é", 1<<20)
	a.Detail = "one\x1b[31m\u202e\ntwo" + strings.Repeat("x", 1<<20)
	a.Values = map[string]string{"a\n": strings.Repeat("\xff", 1000)}
	a.Runbook = "javascript:alert(1)"
	set(t, m, a)
	got := m.Firing()[0]
	if len(got.Summary) > 4<<10 || !strings.Contains(got.Summary, "… (+") || len(got.Detail) > 8<<10 || strings.ContainsAny(got.Detail, "\x1b\u202e") || !strings.HasPrefix(got.Detail, "one") || !strings.Contains(got.Detail, "\ntwo") {
		t.Errorf("%d, %.40q, %d, %.40q", len(got.Summary), got.Summary, len(got.Detail), got.Detail)
	}
	if got.URL != "https://console.example.com/chat/17" || !strings.HasSuffix(got.Runbook, "#queuegrowing") {
		t.Errorf("%q, %q", got.URL, got.Runbook)
	}
	for _, bad := range []alert.Alert{
		{}, {Name: "with space"}, {Name: "A", Labels: map[string]string{"a-b": ""}}, {Name: "A", Labels: map[string]string{"a": "x\ny"}},
		{Name: "A", Labels: map[string]string{"a": strings.Repeat("x", 300)}}, {Name: "A", Severity: 7}, {Name: "A", Labels: map[string]string{"severity": "x"}},
	} {
		var invalid *checks.InvalidError
		if err := m.Set(t.Context(), bad); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := m.Clear(t.Context(), "nonsense"); err == nil {
		t.Error("cleared nonsense")
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"short", 5, "short"},
		{"fourteen-long-text", 13, "four… (+14)"},
		{strings.Repeat("é", 20), 14, strings.Repeat("é", 2) + "… (+18)"},
		{"abc", 2, ""},
	} {
		got := alert.Cut(tt.in, tt.n, func(s string) int { return len(s) })
		if got != tt.want || len(got) > tt.n {
			t.Errorf("Cut(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}

func TestConfigurationsThatAreNotValid(t *testing.T) {
	_, err := alert.New(alert.Config{
		Name: "Not A Name", Receivers: map[string]alert.Notifier{"chat": &receiver{}, "no one": nil}, Heartbeat: "nobody", URL: "https://user:pass@host/",
		Routes: []alert.Route{
			{Match: map[string]string{"target": "chat*"}, To: []string{"chat"}},
			{Match: map[string]string{"target": "chat-eu", "team": "x"}, To: []string{"pager"}, Wait: -1},
			{Match: map[string]string{"alertname": "a b"}, GroupBy: []string{"a-b"}},
		},
		Runbooks: map[string]string{"A": "file:///etc"},
		Rules:    map[string]alert.Rule{"a": nil},
	})
	var fields []string
	for e := range checks.Invalid(err) {
		fields = append(fields, e.Field)
		if strings.Contains(e.Error(), "pass") {
			t.Errorf("a secret is shown: %v", e)
		}
	}
	want(t, "fields", fields, []string{"Config.Store", "Config.Name", "Config.Receivers", "Config.Rules", "Config.Heartbeat", "Config.URL", "Config.Runbooks[A]",
		"Config.Routes[1].To", "Config.Routes[1].Wait", "Config.Routes[1].Match", "Config.Routes[2].To", "Config.Routes[2].Match", "Config.Routes[2].Match[alertname]", "Config.Routes"})
}

func TestRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pager, chat, team := &receiver{}, &receiver{}, &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"pager": pager, "chat": chat, "team": team},
			Routes: []alert.Route{
				{Match: map[string]string{"target": "team-*"}, To: []string{"team"}, GroupBy: []string{"alertname"}, Continue: true},
				{Min: alert.Critical, To: []string{"pager", "chat"}},
				{Match: map[string]string{"alertname": "QueueGrowing"}, To: []string{"chat"}},
			}})
		set(t, m, critical("team-a"))
		set(t, m, critical("other"))
		set(t, m, queue("other"))
		wait(time.Minute)
		want(t, "pager", pager.story(), []string{"OutOfMemory critical fires", "OutOfMemory critical fires"})
		want(t, "team", team.story(), []string{"OutOfMemory critical fires"})
		if n := team.messages(); n[0].Group != "alertname=OutOfMemory" {
			t.Errorf("group %q", n[0].Group)
		}
	})
}
