package rollout

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// fold adds up the evidence about one candidate. It keeps the sums of blocks of processes
// that write at about the same time, so that what is new changes few of them.
type fold struct {
	baseline, arm string
	empty         *analysis.Sum
	blocks        []foldBlock
	lasting       analysis.Lasting
}

type foldBlock struct {
	keys  []string // sorted
	sum   *analysis.Sum
	left  error // evidence that does not fit, and is not in the sum
	stale bool  // sum is not of what is there now
}

const (
	// blockSize is how many processes a block has as long as there are not too many
	// blocks, which have to be added up at each look.
	blockSize = 16
	maxBlocks = 64
)

func newFold(p analysis.Plan, baseline, arm string) (*fold, error) {
	empty, err := p.Sum()
	return &fold{baseline: baseline, arm: arm, empty: empty}, err
}

// blocksFor returns how many blocks there are for n processes.
func blocksFor(n int) int {
	return min(1<<bits.Len(uint(n/blockSize)), maxBlocks)
}

// sum adds up own and the evidence of others, of which those named by changed are new or
// gone since the last call. What others have seen is known up to a spread later. Evidence that
// does not fit is left out, and left says so.
func (f *fold) sum(own analysis.Evidence, others map[string]sharedEvidence, changed []string, spread time.Duration) (sum analysis.Evidence, left, err error) {
	if n := blocksFor(len(others)); n != len(f.blocks) {
		f.blocks = make([]foldBlock, n)
		changed = changed[:0:0]
		for key := range others {
			changed = append(changed, key)
		}
	}
	for _, key := range changed {
		b := &f.blocks[int(phaseOf(key)*float64(len(f.blocks)))]
		at, there := slices.BinarySearch(b.keys, key)
		_, wanted := others[key]
		switch {
		case wanted && !there:
			b.keys = slices.Insert(b.keys, at, key)
		case !wanted && there:
			b.keys = slices.Delete(b.keys, at, at+1)
		}
		b.stale = true
	}
	total := f.empty.Another()
	for i := range f.blocks {
		b := &f.blocks[i]
		if b.stale {
			f.add(b, others)
		}
		if b.sum != nil {
			if err := total.AddSum(b.sum); err != nil {
				return sum, left, err
			}
		}
		left = errors.Join(left, b.left)
	}
	if err := total.Add(own); err != nil {
		return sum, left, err
	}
	if len(others) == 0 {
		return total.Evidence(), left, nil // its own stretches are known
	}
	return total.Lasting(&f.lasting, time.Now(), spread), left, nil
}

// add adds up a block.
func (f *fold) add(b *foldBlock, others map[string]sharedEvidence) {
	bad := make(map[string]bool)
	b.left, b.stale = nil, false
again:
	b.sum = nil
	for _, key := range b.keys {
		e, ok := others[key].arms[f.arm]
		if !ok || e.Plan == "" && len(e.Metrics) == 0 || bad[key] {
			continue
		}
		err := f.fits(e)
		if err == nil {
			if b.sum == nil {
				b.sum = f.empty.Another()
			}
			err = b.sum.Add(e)
		}
		if err != nil { // the sum cannot be used any more
			bad[key] = true
			b.left = errors.Join(b.left, &evidenceError{key, err})
			goto again
		}
	}
}

// fits reports whether evidence is about the arms of the rollout.
func (f *fold) fits(e analysis.Evidence) error {
	if e.Baseline.Arm != f.baseline || e.Candidate.Arm != f.arm {
		return fmt.Errorf("evidence is about %q and %q, want %q and %q", e.Baseline.Arm, e.Candidate.Arm, f.baseline, f.arm)
	}
	return nil
}
