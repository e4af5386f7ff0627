package rollout

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// How often a process of a fleet asks the store depends on how many members there are,
// so that what all of them ask together is bounded. The leader counts them by their
// evidence, and the document says how many there are.
const (
	// readShare is the time between two reads of the document for each member, as far as
	// the validity of splits allows. No hint is relied on for longer.
	readShare = 25 * time.Millisecond
	// idleLongest is the longest pause between two looks while no rollout is active.
	idleLongest = 2 * time.Minute
	// hintShare is the time for each member over which reads after a hint are spread.
	hintShare, hintLongest = 500 * time.Microsecond, 500 * time.Millisecond
	// leaseShare is the time between two pairs of looks at the lease for each member.
	leaseShare = 300 * time.Millisecond
	// publishShare is the time between two writings of evidence for each member, and
	// publishEarly while the split is new. publishBytes is how many bytes of it are to be
	// written in a second by all.
	publishShare, publishEarly = 8 * time.Millisecond, 4 * time.Millisecond
	publishLongest             = 128 * time.Second
	publishBytes               = 200e3
	// checkpointShare is the time between two checkpoints for each member, since all
	// of them read what is committed.
	checkpointShare, checkpointLongest = 300 * time.Millisecond, 5 * time.Minute
	// smallFleet is how many members make no difference.
	smallFleet = 20
)

// around returns a time from low to high times d, by chance.
func around(d time.Duration, low, high float64) time.Duration {
	return time.Duration(float64(d) * (low + (high-low)*rand.Float64()))
}

// members returns how many processes share the store, as far as d knows.
func (d *document) members() int { return max(d.Members, 1) }

func shareOf(share time.Duration, members int, longest time.Duration) time.Duration {
	return min(share*time.Duration(members), longest)
}

// checkpointEvery returns the time between two writings of the evidence.
func (d *driver) checkpointEvery() time.Duration {
	if d.doc.members() <= smallFleet {
		return d.e.cfg.Checkpoint
	}
	return max(d.e.cfg.Checkpoint, shareOf(checkpointShare, d.doc.members(), checkpointLongest))
}

// recount reports whether the members are to be made known before the next checkpoint.
func (d *driver) recount() bool {
	now, was := d.members, d.doc.members()
	return max(now, was) > smallFleet && (now > was*3/2 || now < was/2) && time.Since(d.saved) > 2*d.e.cfg.Tick
}

// phaseOf returns where in a period a process writes its evidence, from 0 to 1. Its key
// decides, so the leader knows which of them write at about the same time.
func phaseOf(key string) float64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	x := h.Sum64()
	x = (x ^ x>>32) * 0x9e3779b97f4a7c15 // FNV alone mixes the upper bits too little
	return float64(x>>11) / (1 << 53)
}

// publishEvery returns the period in which a member writes its evidence of so many bytes,
// when the split has been in force for age. Evidence that is young changes much. The
// period is a power of two of seconds, so that the phases of all members fit together. It must not
// depend on outcomes: if bad news were written earlier than good news, the sum would be
// biased.
func publishEvery(members, size int, age time.Duration) time.Duration {
	least := max(time.Second, shareOf(publishEarly, members, publishLongest))
	bulk := time.Duration(float64(members) * float64(size) / publishBytes * float64(time.Second))
	late := max(shareOf(publishShare, members, publishLongest), bulk)
	return period(min(max(least, min(late, age*2/5)), publishLongest))
}

// period returns the power of two of seconds that is nearest to d, at least one second.
func period(d time.Duration) time.Duration {
	return time.Second << int(max(0, math.Round(math.Log2(d.Seconds()))))
}

// publication says when this process has written its evidence.
type publication struct {
	at         time.Time // of the last one, by the wall clock; zero before
	size       int       // of it
	harmed     bool      // it said that there is harm
	tripped    bool
	generation uint64    // of the split that is in force
	since      time.Time // when that began here
	looked     time.Time // when the evidence was judged here
}

// due reports whether a follower writes its evidence now. What it has seen by itself is
// written immediately when that is harm: a verdict of its own, which needs no other.
func (d *driver) due(now time.Time) bool {
	p := &d.published
	if d.doc.Split.Generation != p.generation {
		p.generation, p.since = d.doc.Split.Generation, time.Now()
	}
	switch {
	case p.at.IsZero() || d.own.rev == "",
		d.judgement.Verdict == analysis.Harmed && !p.harmed,
		d.own.tripped != "" && !p.tripped:
		return true
	}
	every := publishEvery(d.doc.members(), p.size, time.Since(p.since))
	phase := time.Duration(phaseOf(d.e.evidenceKey(d.id)) * float64(every))
	return !now.Add(phase).Truncate(every).Equal(p.at.Add(phase).Truncate(every))
}

// spread returns how much later than it has happened the leader may know what other members
// have seen. A period that was longer a moment ago still counts.
func (d *driver) spread() time.Duration {
	if g := d.doc.Split.Generation; g != d.published.generation {
		d.published.generation, d.published.since = g, time.Now()
	}
	size := 0
	for _, o := range d.others {
		size = max(size, o.size)
	}
	now := publishEvery(max(d.members, d.doc.members()), size, time.Since(d.published.since))
	if now >= d.slowest || time.Since(d.slowestAt) > d.slowest {
		d.slowest, d.slowestAt = now, time.Now()
	}
	return d.slowest + d.e.cfg.Tick + min(d.e.cfg.Poll, d.e.cfg.Tick)
}

// countMembers counts the members by what they have written lately. A leader that has just
// begun counts earlier lives too.
func (d *driver) countMembers() {
	size := 0
	for _, o := range d.others {
		size = max(size, o.size)
	}
	window := 10*time.Second + 3*publishEvery(max(d.members, d.doc.members()), size, publishLongest*3)
	d.members = 1
	for _, o := range d.others {
		if time.Since(o.seen) < window {
			d.members++
		}
	}
}

// schedule is when a member that does not lead looks into the store next. One that leads
// looks all the time.
type schedule struct {
	hinted     bool // the store gives hints
	read, beat time.Time
	idle       time.Duration // the pause between two looks while nothing is active
	active     bool
	again      bool // the next look at the lease is the second one of a pair
	members    int
}

// hint says that the document may have changed.
func (s *schedule) hint() {
	at := time.Now().Add(around(shareOf(hintShare, s.members, hintLongest), 0, 1))
	if s.read.After(at) {
		s.read = at
	}
}

// next returns when the member has something to do, no later than at.
func (s *schedule) next(at time.Time) time.Time {
	for _, t := range []time.Time{s.read, s.beat} {
		if t.Before(at) {
			at = t
		}
	}
	return at
}

// see takes in what the document says. A rollout that begins or fewer members than there
// were make looks urgent that were not.
func (s *schedule) see(members int, active bool, ttl time.Duration) {
	if active && !s.active || members < s.members/2 {
		if at := time.Now().Add(around(min(shareOf(5*time.Millisecond, members, ttl), ttl/2), 0, 1)); s.beat.After(at) {
			s.beat, s.again = at, false
		}
	}
	if active {
		s.idle = 0
	}
	s.members, s.active = members, active
}

// hasRead plans the next read of the document, after one that may have failed.
func (s *schedule) hasRead(cfg *Config, failed bool) {
	poll := min(cfg.Poll, cfg.Tick)
	pause := poll
	switch {
	case failed || !s.hinted:
	case !s.active:
		s.idle = min(max(s.idle*3/2, poll), idleLongest)
		pause = around(s.idle, .67, 1.33)
	default:
		pause = max(poll, around(readShare*time.Duration(s.members), .75, 1.25))
		pause = min(pause, around(cfg.Validity, .7, .88))
	}
	s.read = time.Now().Add(pause)
}

// hasBeaten plans the next look at the lease, after one that may have failed. Where there are many members each looks rarely, and then twice: a lease that
// has not changed in between is over.
func (s *schedule) hasBeaten(cfg *Config, failed bool) {
	poll := min(cfg.Poll, cfg.Tick)
	pause := poll
	each := leaseShare * time.Duration(s.members)
	switch {
	case failed:
	case !s.active && s.hinted:
		s.idle = max(s.idle, poll)
		pause, s.again = around(s.idle, .67, 1.33), false
	case each <= cfg.Lease:
		pause = max(poll, around(each/6, .75, 1.25))
	case !s.again:
		pause, s.again = around(cfg.Lease, 1, 1.1), true
	default:
		pause, s.again = around(each, 0, 2), false
	}
	s.beat = time.Now().Add(pause)
}
