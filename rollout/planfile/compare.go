package planfile

import (
	"bytes"
	"strings"

	"github.com/serin-go/serin/rollout"
)

// Difference is how two plans differ.
type Difference struct {
	// Changes are the values that differ, in the order of the file.
	Changes []Change
	// Lines are the lines of both files as [Write] returns them, each with "  ", "- " or "+ "
	// before it. It is nil if there are no changes.
	Lines []string
}

// Change is a value that differs between two plans.
type Change struct {
	// Pointer and Path lead to the value, as in [Problem].
	Pointer, Path string
	// Before and After are the values as in a file, in one line. Empty means that the file
	// does not have it.
	Before, After string
}

// Compare returns what changes from one plan to the next: by meaning and by line. Its errors
// are the errors of [Write]. Equal plans have no changes.
func Compare(before, after rollout.Plan) (Difference, error) {
	var d Difference
	var nodes [2]*node
	var texts [2][]string
	for i, p := range []rollout.Plan{before, after} {
		text, err := Write(p)
		if err != nil {
			return Difference{}, err
		}
		if nodes[i], err = encode(p); err != nil {
			return Difference{}, err
		}
		for line := range bytes.Lines(text) {
			texts[i] = append(texts[i], strings.TrimSuffix(string(line), "\n"))
		}
	}
	d.compare(nodes[0], nodes[1], at{})
	if len(d.Changes) > 0 {
		d.Lines = lines(texts[0], texts[1])
	}
	return d, nil
}

// compare adds what differs between two values; nil is a value that is not there.
func (d *Difference) compare(a, b *node, place at) {
	switch {
	case a != nil && b != nil && a.kind == object && b.kind == object:
		for _, m := range a.members {
			d.compare(m.value, b.member(m.name), place.under("", m.name))
		}
		for _, m := range b.members {
			if a.member(m.name) == nil {
				d.compare(nil, m.value, place.under("", m.name))
			}
		}
	case a != nil && b != nil && a.kind == list && b.kind == list:
		for i := range max(len(a.items), len(b.items)) {
			d.compare(a.item(i), b.item(i), place.item(i))
		}
	default:
		if before, after := a.oneLine(), b.oneLine(); before != after {
			d.Changes = append(d.Changes, Change{place.pointer, place.path, before, after})
		}
	}
}

// item returns the i-th item of a list, or nil.
func (n *node) item(i int) *node {
	if i >= len(n.items) {
		return nil
	}
	return n.items[i]
}

// oneLine returns n in one line, or "" for nil.
func (n *node) oneLine() string {
	if n == nil {
		return ""
	}
	return n.flow()
}

// maxCells bounds the work of comparing lines.
const maxCells = 4 << 20

// lines returns a longest common subsequence of two texts with what differs between its lines.
// Texts that are too long for that come one after the other.
func lines(a, b []string) (all []string) {
	add := func(sign string, lines []string) {
		for _, l := range lines {
			all = append(all, sign+l)
		}
	}
	if len(a)*len(b) > maxCells {
		add("- ", a)
		add("+ ", b)
		return all
	}
	// common[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			add("  ", a[i:i+1])
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			add("- ", a[i:i+1])
			i++
		default:
			add("+ ", b[j:j+1])
			j++
		}
	}
	add("- ", a[i:])
	add("+ ", b[j:])
	return all
}
