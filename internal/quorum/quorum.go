// Package quorum decides whether enough different people of the right roles have agreed.
package quorum

import (
	"fmt"
	"slices"
	"strings"
)

// Rule requires a number of different people who each have one of the roles. Without
// roles, every person will do.
type Rule struct {
	Need  int
	Roles []string
}

// Takes reports whether a person with these roles counts for r.
func (r Rule) Takes(roles []string) bool {
	return len(r.Roles) == 0 || slices.ContainsFunc(roles, func(s string) bool { return slices.Contains(r.Roles, s) })
}

// String returns the rule in words: "2 of sre or lead".
func (r Rule) String() string {
	if len(r.Roles) == 0 {
		return fmt.Sprintf("%d of any role", r.Need)
	}
	return fmt.Sprintf("%d of %s", r.Need, strings.Join(r.Roles, " or "))
}

// Person returns the identity of a person: the subject or, if it is empty, the name in
// lower case and without surrounding space.
func Person(subject, name string) string {
	if subject != "" {
		return subject
	}
	return strings.ToLower(strings.TrimSpace(name))
}

// Same reports whether two people are one, each given by subject and name: the subjects are
// equal or, if one of the people has none, the names are, regardless of case and surrounding
// space.
func Same(subjectA, nameA, subjectB, nameB string) bool {
	if subjectA != "" && subjectB != "" {
		return subjectA == subjectB
	}
	name := Person("", nameA)
	return name != "" && name == Person("", nameB) || subjectA+subjectB == "" && nameA == nameB
}

// Place assigns people, given by their roles, to rules, as many as possible; no person
// counts for two rules. It returns the rules with the number of people that they still
// need, and how many people were placed. It finds a maximum bipartite matching by
// augmenting paths: a person may move another one to a different rule.
func Place(rules []Rule, people [][]string) (missing []Rule, placed int) {
	held := make([][]int, len(rules)) // people by rule
	var seat func(person int, seen []bool) bool
	seat = func(person int, seen []bool) bool {
		for i, r := range rules {
			if seen[i] || !r.Takes(people[person]) {
				continue
			}
			seen[i] = true
			if len(held[i]) < r.Need {
				held[i] = append(held[i], person)
				return true
			}
			for j, other := range held[i] {
				if seat(other, seen) {
					held[i][j] = person
					return true
				}
			}
		}
		return false
	}
	for person := range people {
		if seat(person, make([]bool, len(rules))) {
			placed++
		}
	}
	for i, r := range rules {
		if r.Need -= len(held[i]); r.Need > 0 {
			missing = append(missing, r)
		}
	}
	return missing, placed
}
