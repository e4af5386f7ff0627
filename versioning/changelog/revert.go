package changelog

import (
	"strings"

	"github.com/serin-go/serin/versioning"
)

// targets names the commits that a commit reverts.
type targets struct {
	hashes      []string // full or shortened
	header      string   // of the reverted commit, if no hash is known
	description string   // in words
	left        []string // targets not found in the same release
}

// revertsOf parses the three forms of a revert:
//
//	Revert "feat: x"     and "This reverts commit <hash>." below (git revert)
//	Reapply "feat: x"    and the same below (git revert of a revert)
//	revert: feat: x      and "Refs: <hash>, <hash>" or the sentence of git below
func revertsOf(header, message string, c *versioning.Commit) *targets {
	t := &targets{}
	quoted, isRevert := quotedHeader(header, "Revert ")
	again, isReapply := quotedHeader(header, "Reapply ")
	switch {
	case isRevert:
		t.header = quoted
		t.description = quoted
	case isReapply:
		t.header = `Revert "` + again + `"`
		t.description = t.header
	case c.Type == "revert":
		t.header = c.Description
		t.description = c.Description
	default:
		return nil
	}
	const sentence = "This reverts commit "
	for rest := message; ; {
		at := strings.Index(rest, sentence)
		if at < 0 {
			break
		}
		rest = rest[at+len(sentence):]
		t.addHash(rest)
	}
	if c.Type == "revert" && len(t.hashes) == 0 {
		for value := range c.Values("Refs") {
			for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
				t.addHash(word)
			}
		}
	}
	return t
}

func quotedHeader(header, word string) (quoted string, ok bool) {
	rest, ok := strings.CutPrefix(header, word+`"`)
	if !ok {
		return "", false
	}
	end := strings.LastIndexByte(rest, '"')
	if end < 0 {
		return "", false
	}
	return rest[:end], true
}

// addHash adds the hash at the start of s, if there is one.
func (t *targets) addHash(s string) {
	const shortest = 7
	n := 0
	for n < len(s) && (s[n]-'0' <= 9 || s[n]-'a' <= 'f'-'a') {
		n++
	}
	if n >= shortest && n <= 64 && (n == len(s) || !inWord(s[n])) {
		t.hashes = append(t.hashes, s[:n])
	}
}

// inWord reports whether a longer word may go on with c.
func inWord(c byte) bool {
	return c-'0' <= 9 || c|0x20-'a' <= 'z'-'a' || c == '-'
}

// cancelled says why a commit does not appear.
type cancelled struct {
	reason string
	hash   string // of the commit that reverted it, or ""
}

// cancel returns the commits of one release that were reverted in the same
// release, and their reverts, each with the reason why it does not appear. The
// members are ordered from the newest to the oldest. A revert that is itself
// reverted has no effect.
func cancel(members []*node) map[*node]cancelled {
	var reverts []*node
	for _, n := range members {
		if n.reverts != nil {
			reverts = append(reverts, n)
		}
	}
	if len(reverts) == 0 {
		return nil
	}
	gone := map[*node]cancelled{}
	byHash, byHeader := map[string]*node{}, map[string]*node{} // reverts whose targets are not found yet
	var short []string
	for _, n := range members {
		by, key := byHash[n.change.Hash], n.change.Hash
		for i := 0; by == nil && i < len(short); i++ {
			if strings.HasPrefix(n.change.Hash, short[i]) {
				by, key = byHash[short[i]], short[i]
			}
		}
		if by != nil {
			delete(byHash, key)
		} else if by = byHeader[n.header]; by != nil && by != n {
			delete(byHeader, n.header)
		}
		if by != nil {
			gone[n] = cancelled{"reverted by " + shortHash(by.change.Hash) + " before its release", by.change.Hash}
			by.reverts.found(key)
			continue
		}
		if n.reverts == nil {
			continue
		}
		n.reverts.left = append([]string(nil), n.reverts.hashes...)
		if len(n.reverts.hashes) == 0 {
			byHeader[n.reverts.header] = n
			n.reverts.left = []string{n.reverts.header}
		}
		for _, hash := range n.reverts.hashes {
			byHash[hash] = n
			if len(hash) < len(n.change.Hash) {
				short = append(short, hash)
			}
		}
	}
	for _, n := range reverts {
		if gone[n].reason == "" && len(n.reverts.left) == 0 {
			gone[n] = cancelled{reason: "reverts an unreleased commit"}
		}
	}
	return gone
}

// found removes a target from t.left. A header is always the only target.
func (t *targets) found(key string) {
	if len(t.hashes) == 0 {
		t.left = nil
		return
	}
	for i, hash := range t.left {
		if hash == key {
			t.left = append(t.left[:i], t.left[i+1:]...)
			return
		}
	}
}
