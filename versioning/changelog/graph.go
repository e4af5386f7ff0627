package changelog

import (
	"fmt"
	"math/bits"
	"slices"
)

// graph is the shape of a history: the commits in the order of the source, children
// before parents.
type graph struct {
	hashes  []string
	first   []int32 // of the parents of commit i: parents[first[i]:first[i+1]]
	parents []int32
	newest  int // the first commit that the selected revision contains
}

func (g *graph) parentsOf(i int) []int32 { return g.parents[g.first[i]:g.first[i+1]] }

// find returns the commit whose hash begins with prefix, or -1.
func (g *graph) find(prefix string) int {
	return slices.IndexFunc(g.hashes, func(hash string) bool { return len(hash) >= len(prefix) && hash[:len(prefix)] == prefix })
}

// ancestors reports for each commit whether one of the commits in from contains it.
func (g *graph) ancestors(from ...int) []bool {
	contained := make([]bool, len(g.hashes))
	for _, i := range from {
		contained[i] = true
	}
	for i := range contained { // children come first
		if contained[i] {
			for _, parent := range g.parentsOf(i) {
				contained[parent] = true
			}
		}
	}
	return contained
}

// newGraph resolves the parents of nodes. Parents that were not read are left out.
// A history without any parents is linear. It sorts nodes so that children come
// before their parents, if they do not yet.
func newGraph(nodes []*node, linear bool) (graph, []*node, error) {
	g := graph{hashes: make([]string, len(nodes)), first: make([]int32, len(nodes)+1), parents: make([]int32, 0, len(nodes)+len(nodes)/8)}
	if linear {
		for i, n := range nodes {
			g.hashes[i] = n.change.Hash
			if i+1 < len(nodes) {
				g.parents = append(g.parents, int32(i+1))
			}
			g.first[i+1] = int32(len(g.parents))
		}
		return g, nodes, nil
	}
	if g.chain(nodes) {
		return g, nodes, nil
	}
	ordinals := make(map[string]int32, len(nodes))
	for i, n := range nodes {
		if _, twice := ordinals[n.change.Hash]; twice {
			return g, nil, fmt.Errorf("commit %s: listed twice", clipHash(n.change.Hash))
		}
		ordinals[n.change.Hash] = int32(i)
	}
	sorted := true
	for i, n := range nodes {
		g.hashes[i] = n.change.Hash
		for _, hash := range n.parents {
			if parent, found := ordinals[hash]; found {
				g.parents = append(g.parents, parent)
				sorted = sorted && int(parent) > i
			}
		}
		g.first[i+1] = int32(len(g.parents))
	}
	if sorted {
		for _, n := range nodes {
			n.parents = nil
		}
		return g, nodes, nil
	}
	order, err := g.sort()
	if err != nil {
		return g, nil, err
	}
	moved := make([]*node, len(nodes))
	for i, was := range order {
		moved[i] = nodes[was]
	}
	return newGraph(moved, false)
}

// chain resolves the parents if each commit is the only parent of the one before.
func (g *graph) chain(nodes []*node) bool {
	for i, n := range nodes {
		if last := i+1 == len(nodes); last && len(n.parents) > 0 || !last && (len(n.parents) != 1 || n.parents[0] != nodes[i+1].change.Hash) {
			g.parents = g.parents[:0]
			return false
		}
		g.hashes[i] = n.change.Hash
		if i+1 < len(nodes) {
			g.parents = append(g.parents, int32(i+1))
		}
		g.first[i+1] = int32(len(g.parents))
	}
	for _, n := range nodes {
		n.parents = nil
	}
	return true
}

// sort returns an order in which children come before their parents.
func (g *graph) sort() ([]int32, error) {
	children := make([]int32, len(g.hashes))
	for _, parent := range g.parents {
		children[parent]++
	}
	order := make([]int32, 0, len(g.hashes))
	for i, n := range children {
		if n == 0 {
			order = append(order, int32(i))
		}
	}
	for next := 0; next < len(order); next++ {
		for _, parent := range g.parentsOf(int(order[next])) {
			if children[parent]--; children[parent] == 0 {
				order = append(order, parent)
			}
		}
	}
	if len(order) < len(g.hashes) {
		i := slices.IndexFunc(children, func(n int32) bool { return n > 0 })
		return nil, fmt.Errorf("commit %s: is its own ancestor", clipHash(g.hashes[i]))
	}
	return order, nil
}

// clipHash shortens a hash of a hostile source for an error.
func clipHash(hash string) string {
	const longest = 64
	return fmt.Sprintf("%q", hash[:min(len(hash), longest)])
}

// containers is the set of the tagged versions that contain a commit, as bits by
// index. Commits between two tags share one set. It is immutable.
type containers struct {
	words []uint64
	// lists caches the releases in whose notes the commits are, plus one.
	lists  []int32
	listed bool
}

// has reports whether i is a member. A negative i never is.
func (c *containers) has(i int) bool {
	return c != nil && i >= 0 && i>>6 < len(c.words) && c.words[i>>6]>>(i&63)&1 != 0
}

// with returns a set that also has i.
func (c *containers) with(i int) *containers {
	d := &containers{}
	if c != nil {
		d.words = slices.Clone(c.words)
	}
	for i>>6 >= len(d.words) {
		d.words = append(d.words, 0)
	}
	d.words[i>>6] |= 1 << (i & 63)
	return d
}

// union returns the union of two sets, which is one of them if it contains the other.
func (c *containers) union(d *containers) *containers {
	switch {
	case c == d || d == nil:
		return c
	case c == nil:
		return d
	}
	if len(c.words) < len(d.words) {
		c, d = d, c
	}
	inC, inD := true, len(c.words) == len(d.words)
	for i, word := range d.words {
		inC = inC && word&^c.words[i] == 0
		inD = inD && c.words[i]&^word == 0
	}
	switch {
	case inC:
		return c
	case inD:
		return d
	}
	u := &containers{words: slices.Clone(c.words)}
	for i, word := range d.words {
		u.words[i] |= word
	}
	return u
}

// all calls f with each member.
func (c *containers) all(f func(i int)) {
	if c == nil {
		return
	}
	for i, word := range c.words {
		for ; word != 0; word &= word - 1 {
			f(i<<6 + bits.TrailingZeros64(word))
		}
	}
}
