package rollout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/serin-go/serin/strategies"
)

// planeTimeout bounds the wait for a [Splitter]. One that has not answered by then
// may still do so; until then it gets nothing else.
const planeTimeout = 5 * time.Second

var errPlaneHangs = errors.New("rollout: the splitter does not answer")

// plane gives splits to the splitter of one target: one at a time, in the order in
// which they were demanded, and the newest alone when several wait. It outlives the
// rollouts of its target.
type plane struct {
	splitter Splitter

	mu       sync.Mutex
	want     strategies.Split // the newest that was demanded
	demanded uint64           // how many were
	done     uint64           // which of them the splitter has answered
	err      error            // what it said
	inForce  strategies.Split // the newest that it has taken
	working  bool
	began    time.Time     // when it was given the split that it has not answered yet
	answered chan struct{} // closed with each answer
}

func newPlane(s Splitter) *plane { return &plane{splitter: s, answered: make(chan struct{})} }

// demand has s put in force, and returns what wait needs to know of it.
func (p *plane) demand(s strategies.Split) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want = s
	p.demanded++
	if !p.working {
		p.working = true
		go p.work()
	}
	return p.demanded
}

// work gives the splitter what is demanded until there is nothing new.
func (p *plane) work() {
	for {
		p.mu.Lock()
		n, s := p.demanded, p.want
		p.began = time.Now()
		if n == p.done {
			p.working = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		err := p.set(s)
		p.mu.Lock()
		p.done, p.err = n, err
		if err == nil {
			p.inForce = s
		}
		close(p.answered)
		p.answered = make(chan struct{})
		p.mu.Unlock()
	}
}

// asked reports whether s is the newest split that was demanded.
func (p *plane) asked(s strategies.Split) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.demanded > 0 && p.want.Generation == s.Generation && p.want.Equal(s)
}

// settled reports whether the splitter has taken the newest split.
func (p *plane) settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done == p.demanded && p.err == nil
}

// insist demands the newest split again, if the splitter has refused it.
func (p *plane) insist() {
	p.mu.Lock()
	refused, s := !p.working && p.err != nil, p.want
	p.mu.Unlock()
	if refused {
		p.demand(s)
	}
}

// state returns the newest split that the splitter has taken, or the zero Split, and why a
// newer one is not in force.
func (p *plane) state() (strategies.Split, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.working && time.Since(p.began) > planeTimeout {
		return p.inForce, errPlaneHangs
	}
	return p.inForce, p.err
}

// serves words the split that is in force.
func (p *plane) serves() string {
	s, _ := p.state()
	return armList(s)
}

// armList lists the arms of a split with their shares.
func armList(s strategies.Split) string {
	if len(s.Arms) == 0 {
		return "the splitter's own split"
	}
	return fmt.Sprint(s.Arms)
}

// set calls the splitter, whose panics are errors.
func (p *plane) set(s strategies.Split) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("rollout: the splitter panicked: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), planeTimeout)
	defer cancel()
	return p.splitter.SetSplit(ctx, s)
}

// wait waits for the answer to the demand, or to a later one, no longer than
// planeTimeout.
func (p *plane) wait(demand uint64) error {
	timer := time.NewTimer(planeTimeout)
	defer timer.Stop()
	for {
		p.mu.Lock()
		done, err, answered := p.done, p.err, p.answered
		p.mu.Unlock()
		if done >= demand {
			return err
		}
		select {
		case <-answered:
		case <-timer.C:
			return errPlaneHangs
		}
	}
}
