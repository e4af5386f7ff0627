package rollout

import (
	"testing"
	"time"
)

func TestPublishEvery(t *testing.T) {
	for _, c := range []struct {
		name          string
		members, size int
		age, want     time.Duration
	}{
		{"one process", 1, 10_000, time.Hour, time.Second},
		{"nothing is known yet", 0, 0, 0, time.Second},
		{"thirty", 30, 10_000, time.Hour, 2 * time.Second},
		{"a thousand, at first", 1000, 1000, 3 * time.Second, 4 * time.Second},
		{"a thousand, of a kilobyte each", 1000, 1000, time.Hour, 8 * time.Second},
		{"a thousand, after half a minute", 1000, 20_000, 40 * time.Second, 16 * time.Second},
		{"a thousand, of 20 KB each", 1000, 20_000, time.Hour, 128 * time.Second},
		{"a hundred thousand", 100_000, 1, 0, 128 * time.Second},
	} {
		if got := publishEvery(c.members, c.size, c.age); got != c.want {
			t.Errorf("%s: every %v, want %v", c.name, got, c.want)
		}
	}
}

// Members write at moments that are spread evenly, and once in each period.
func TestPhases(t *testing.T) {
	const n = 10_000
	counts := make([]int, 16)
	for i := range n {
		counts[int(phaseOf(evidencePrefix("chat/1")+string(rune('a'+i%26))+time.Duration(i).String())*16)]++
	}
	for i, c := range counts {
		if c < n/16*8/10 || c > n/16*12/10 {
			t.Errorf("sixteenth %d has %d of %d", i, c, n)
		}
	}
}

// TestSchedule: how long a member waits before it looks again, on average over many
// members, and at most.
func TestSchedule(t *testing.T) {
	cfg := &Config{Poll: 500 * time.Millisecond, Tick: time.Second, Lease: 5 * time.Second, Validity: 5 * time.Second}
	for _, c := range []struct {
		name              string
		s                 schedule
		failed            bool
		readMean, readMax time.Duration
		beatMean          time.Duration
	}{
		{"a store without hints", schedule{active: true, members: 1000}, false, cfg.Poll, cfg.Poll, 300 * time.Second},
		{"a few members", schedule{hinted: true, active: true, members: 3}, false, cfg.Poll, cfg.Poll, cfg.Poll},
		{"a read that has failed", schedule{hinted: true, active: true, members: 1000}, true, cfg.Poll, cfg.Poll, cfg.Poll},
		{"a hundred", schedule{hinted: true, active: true, members: 100}, false, 2500 * time.Millisecond, 3200 * time.Millisecond, 30 * time.Second},
		{"a thousand", schedule{hinted: true, active: true, members: 1000}, false, 3950 * time.Millisecond, 4400 * time.Millisecond, 300 * time.Second},
		{"nothing is active", schedule{hinted: true, idle: time.Hour, members: 1000}, false, idleLongest, 160 * time.Second, idleLongest},
	} {
		const n = 2000
		var read, beat, most time.Duration
		for range n {
			s := c.s
			s.again = true // the look at the lease was the second one
			began := time.Now()
			s.hasRead(cfg, c.failed)
			pause := s.read.Sub(began)
			s.hasBeaten(cfg, c.failed)
			read, beat, most = read+pause, beat+s.beat.Sub(began), max(most, pause)
		}
		for _, x := range []struct {
			what      string
			got, want time.Duration
		}{{"read", read / n, c.readMean}, {"look at the lease", beat / n, c.beatMean}} {
			if x.got < x.want*9/10 || x.got > x.want*11/10 {
				t.Errorf("%s: the next %s is after %v on average, want %v", c.name, x.what, x.got, x.want)
			}
		}
		if most > c.readMax+100*time.Millisecond {
			t.Errorf("%s: a read after %v, want at most %v", c.name, most, c.readMax)
		}
	}
	// The second look at a lease comes when it would have run out.
	s := schedule{hinted: true, active: true, members: 1000}
	began := time.Now()
	s.hasBeaten(cfg, false)
	if pause := s.beat.Sub(began); !s.again || pause < cfg.Lease || pause > cfg.Lease*3/2 {
		t.Errorf("the second look is after %v, want a little more than %v", pause, cfg.Lease)
	}
}

// A rollout that begins, and a fleet that shrinks, make members look at the lease soon.
func TestScheduleIsHurried(t *testing.T) {
	for name, c := range map[string]struct {
		members int
		active  bool
		soon    bool
	}{
		"nothing has changed": {1000, false, false}, "a rollout begins": {1000, true, true},
		"half are gone": {400, false, true}, "there are more": {4000, false, false},
	} {
		s := schedule{hinted: true, members: 1000, beat: time.Now().Add(time.Hour), again: true}
		s.see(c.members, c.active, 5*time.Second)
		if soon := time.Until(s.beat) < 3*time.Second; soon != c.soon || s.again == soon || s.members != c.members || s.active != c.active {
			t.Errorf("%s: soon %t, %+v", name, soon, s)
		}
	}
}
