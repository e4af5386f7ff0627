package planfile

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/serin-go/serin/internal/visible"
)

// lineWidth is up to where objects and lists are printed in one line.
const lineWidth = 96

// yaml returns n as YAML.
func (n *node) yaml() []byte {
	var b bytes.Buffer
	if len(n.members) == 0 {
		return []byte("{}\n")
	}
	n.block(&b, 0)
	return b.Bytes()
}

// block prints the members or the items of n, each in lines of its own.
func (n *node) block(b *bytes.Buffer, indent int) {
	margin := strings.Repeat(" ", indent)
	for i, m := range n.members {
		if i > 0 {
			b.WriteString(margin)
		}
		b.WriteString(quote(m.name) + ":")
		line := m.value.flow()
		if m.value.leaf(0) && indent+len(m.name)+utf8.RuneCountInString(line)+2 <= lineWidth || len(m.value.members)+len(m.value.items) == 0 {
			b.WriteString(" " + line + "\n")
			continue
		}
		b.WriteString("\n" + margin + "  ")
		m.value.block(b, indent+2)
	}
	for i, item := range n.items {
		if i > 0 {
			b.WriteString(margin)
		}
		b.WriteString("- ")
		line := item.flow()
		if item.leaf(0) && indent+utf8.RuneCountInString(line)+2 <= lineWidth || len(item.members)+len(item.items) == 0 {
			b.WriteString(line + "\n")
			continue
		}
		item.block(b, indent+2)
	}
}

// leaf reports whether n has no more than three levels below the level of its outermost
// object or list.
func (n *node) leaf(depth int) bool {
	if depth > 3 {
		return false
	}
	for _, m := range n.members {
		if !m.value.leaf(depth + 1) {
			return false
		}
	}
	return !slices.ContainsFunc(n.items, func(item *node) bool { return !item.leaf(depth + 1) })
}

// flow returns n in one line.
func (n *node) flow() string {
	var parts []string
	switch n.kind {
	case object:
		for _, m := range n.members {
			parts = append(parts, quote(m.name)+": "+m.value.flow())
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case list:
		for _, item := range n.items {
			parts = append(parts, item.flow())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case text:
		return quote(n.value)
	}
	return n.value
}

var (
	plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]*( [A-Za-z0-9._/-]+)*$`)
	plainUnit = regexp.MustCompile(`^\d+(\.\d+)?(%|(h|m|s|ms)(\d+(m|s))*)$`)
	// notText are words that some readers of YAML take for something else.
	notText = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|nan|inf)$`)
)

// quote returns a text as a YAML scalar: as it is if no reader can take it for something else,
// else in quotes, with escapes for what does not show. The escapes of Go are escapes of YAML
// too.
func quote(s string) string {
	plain := plainText.MatchString(s) && !notText.MatchString(s) || plainUnit.MatchString(s)
	if plain && len(s) < lineWidth {
		return s
	}
	var b strings.Builder
	for _, r := range strconv.Quote(s) {
		switch {
		case visible.Line(string(r)) == string(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}
