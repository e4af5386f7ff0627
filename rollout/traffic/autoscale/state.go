package autoscale

import "time"

// State is what [Scaler.Next] remembers. It is plain data and survives JSON.
type State struct {
	// Proposals are the proposals of the last windows, Changes the changes that were decided.
	Proposals Window `json:"proposals"`
	Changes   Window `json:"changes"`
	// Misses is the number of decisions in a row without a known signal.
	Misses int `json:"misses,omitempty"`
	// PanicUntil is when the panic of mode KPA ends, PanicPeak its largest proposal.
	PanicUntil time.Time `json:"panic_until,omitzero"`
	PanicPeak  int       `json:"panic_peak,omitempty"`
	// Asked is the last number that was decided, valid if Known.
	Asked int  `json:"asked,omitempty"`
	Known bool `json:"known,omitempty"`
	// Foreign are the times of the last two changes by others, the newest first.
	Foreign [2]time.Time `json:"foreign,omitzero"`
}

// conflictWithin is the time within which two changes by others are a conflict.
const conflictWithin = 5 * time.Minute

// conflict notes whether something else has changed the number of replicas, and reports
// whether that happened twice in a short time.
func (st *State) conflict(now time.Time, desired int) bool {
	if st.Known && desired != st.Asked {
		st.Foreign[1], st.Foreign[0] = st.Foreign[0], now
		st.Asked = desired
	}
	st.Known = st.Known || desired > 0
	return !st.Foreign[1].IsZero() && now.Sub(st.Foreign[1]) < conflictWithin
}

// settle notes a decision.
func (st *State) settle(now time.Time, present, n int) {
	st.Asked, st.Known = n, true
	if n != present {
		st.Changes.note(now, n-present)
	}
}

// windowSize is the number of entries of a Window.
const windowSize = 32

// Window holds values of the recent past: at most 32 entries, in order of time. Values that
// come closer together than a 32nd of a window share an entry.
type Window struct {
	N       int               `json:"n,omitempty"`
	Entries [windowSize]Entry `json:"entries,omitzero"`
}

// Entry holds the values that came from At on.
type Entry struct {
	At    time.Time `json:"at,omitzero"`
	Least int       `json:"least,omitempty"`
	Most  int       `json:"most,omitempty"`
	Sum   int       `json:"sum,omitempty"`
}

// note adds a change.
func (w *Window) note(now time.Time, v int) { w.insert(now, time.Second, v) }

// add adds a value to a window of a length.
func (w *Window) add(now time.Time, length time.Duration, v int) {
	if length > 0 {
		w.insert(now, length/windowSize, v)
	}
}

func (w *Window) insert(now time.Time, grain time.Duration, v int) {
	if w.N > 0 {
		if last := &w.Entries[w.N-1]; now.Sub(last.At) < grain {
			last.Least, last.Most, last.Sum = min(last.Least, v), max(last.Most, v), last.Sum+v
			return
		}
	}
	if w.N == windowSize {
		copy(w.Entries[:], w.Entries[1:])
		w.N--
	}
	w.Entries[w.N] = Entry{At: now, Least: v, Most: v, Sum: v}
	w.N++
}

// most returns the largest of v and the values within length.
func (w *Window) most(now time.Time, length time.Duration, v int) int {
	for i := range w.N {
		if e := &w.Entries[i]; now.Sub(e.At) < length {
			v = max(v, e.Most)
		}
	}
	return v
}

// least returns the smallest of v and the values within length.
func (w *Window) least(now time.Time, length time.Duration, v int) int {
	for i := range w.N {
		if e := &w.Entries[i]; now.Sub(e.At) < length {
			v = min(v, e.Least)
		}
	}
	return v
}

// start returns the number of replicas at the start of a period, which the changes within
// it have turned into present.
func (w *Window) start(now time.Time, period time.Duration, present int) int {
	for i := range w.N {
		if e := &w.Entries[i]; now.Sub(e.At) < period {
			present -= e.Sum
		}
	}
	return max(0, present)
}
