package quorum_test

import (
	"fmt"
	"testing"

	"github.com/serin-go/serin/internal/quorum"
)

func TestPlace(t *testing.T) {
	both := []quorum.Rule{{Need: 1, Roles: []string{"sre"}}, {Need: 1, Roles: []string{"privacy"}}}
	for _, c := range []struct {
		rules   []quorum.Rule
		people  [][]string
		missing string
		placed  int
	}{
		{both, nil, "[1 of sre 1 of privacy]", 0},
		{both, [][]string{{"sre", "privacy"}}, "[1 of privacy]", 1},
		{both, [][]string{{"sre", "privacy"}, {"sre"}}, "[]", 2},
		{both, [][]string{{"sre", "privacy"}, {"dev"}}, "[1 of privacy]", 1},
		{[]quorum.Rule{{Need: 2}}, [][]string{{"a"}}, "[1 of any role]", 1},
		{[]quorum.Rule{{Need: 2, Roles: []string{"a", "b"}}}, [][]string{{"b"}, {"a"}, {"c"}}, "[]", 2},
		{[]quorum.Rule{{Need: 1}, {Need: 1, Roles: []string{"a"}}}, [][]string{{"a"}, {"b"}}, "[]", 2},
	} {
		missing, placed := quorum.Place(c.rules, c.people)
		if got := fmt.Sprint(missing); got != c.missing || placed != c.placed {
			t.Errorf("%v %v: %s, %d; want %s, %d", c.rules, c.people, got, placed, c.missing, c.placed)
		}
	}
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		subjectA, nameA, subjectB, nameB string
		want                             bool
	}{
		{"1", "Ana", "1", "Bea", true}, {"1", "Ana", "2", "Ana", false}, {"1", "Ana", "", " ana", true}, {"", "ANA", "", "ana", true},
		{"1", "", "", "", false}, {"1", "Ana", "", "Bea", false}, {"", "Ana", "2", "ana", true},
	} {
		if got := quorum.Same(c.subjectA, c.nameA, c.subjectB, c.nameB); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestPerson(t *testing.T) {
	if a, b := quorum.Person("", " Ana@Example.com "), quorum.Person("", "ana@example.com"); a != b || quorum.Person("x", "Ana") != "x" {
		t.Error(a, b)
	}
}
