package people_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // Europe/Vienna, whatever the machine has

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/people"
)

func person(name string) checklist.Person { return checklist.Person{Name: name} }

// roster always returns the same shifts.
func roster(shifts ...people.Shift) people.Roster {
	return people.Roster{Shifts: func(context.Context, time.Time, time.Time) ([]people.Shift, error) { return shifts, nil }}
}

// utc parses a time.
func utc(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// at runs f in a bubble, at the given time.
func at(t *testing.T, now time.Time, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(now))
		f(t)
	})
}

// expect checks a result: its status, and what its summary names.
func expect(t *testing.T, what string, r checks.Result, want checks.Status, names ...string) {
	t.Helper()
	if r.Status != want {
		t.Errorf("%s: %v (%s, %v), want %v", what, r.Status, r.Summary, r.Err, want)
	}
	if want == checks.Unknown && r.Err == nil {
		t.Errorf("%s: Unknown without an error", what)
	}
	for _, n := range names {
		if !strings.Contains(r.Summary, n) {
			t.Errorf("%s: %q does not name %q", what, r.Summary, n)
		}
	}
}

func vienna(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// A hole of one minute is found wherever it is, and named with its two instants in the zone
// of the roster, in the nights in which summer time ends and begins.
func TestHoleOfOneMinute(t *testing.T) {
	zone := vienna(t)
	for _, night := range []string{"2026-10-24 20:00", "2027-03-27 20:00"} {
		from := utc(t, night)
		to := from.Add(10 * time.Hour)
		at(t, from, func(t *testing.T) {
			for hole := from; hole.Before(to); hole = hole.Add(time.Minute) {
				r := roster(
					people.Shift{Who: person("ana"), Role: "sre", From: from.Add(-time.Hour), To: hole.In(zone)},
					people.Shift{Who: person("ben"), Role: "sre", From: hole.Add(time.Minute).In(zone), To: to.Add(time.Hour)})
				r.Zone = zone
				res := people.Awake(people.AwakeOptions{Roster: r, Roles: []string{"sre"}, For: to.Sub(from)}).Check(t.Context())
				const stamp = "2006-01-02 15:04 MST"
				want := "from " + hole.In(zone).Format(stamp) + " to " + hole.Add(time.Minute).In(zone).Format(stamp)
				if res.Status != checks.Fail || !strings.Contains(res.Summary, want) || res.Evidence["holes"] != "1" {
					t.Fatalf("hole at %v: %+v, want %s", hole, res, want)
				}
			}
		})
	}
}

// The instants of the two nights, written out.
func TestSummerTime(t *testing.T) {
	zone := vienna(t)
	for _, tt := range []struct{ now, to, from, want string }{
		// 02:30 comes twice; the hole between them is an hour.
		{"2026-10-24 20:00", "2026-10-25 00:30", "2026-10-25 01:30", "no sre is on call from 2026-10-25 02:30 CEST to 2026-10-25 02:30 CET"},
		{"2026-10-24 20:00", "2026-10-25 00:30", "2026-10-25 00:31", "from 2026-10-25 02:30 CEST to 2026-10-25 02:31 CEST"},
		{"2026-10-24 20:00", "2026-10-25 01:30", "2026-10-25 01:31", "from 2026-10-25 02:30 CET to 2026-10-25 02:31 CET"},
		{"2026-10-24 20:00", "2026-10-25 00:59", "2026-10-25 01:00", "from 2026-10-25 02:59 CEST to 2026-10-25 02:00 CET"},
		// 02:00 to 03:00 does not exist.
		{"2027-03-27 20:00", "2027-03-28 00:59", "2027-03-28 01:00", "from 2027-03-28 01:59 CET to 2027-03-28 03:00 CEST"},
		{"2027-03-27 20:00", "2027-03-28 01:00", "2027-03-28 01:01", "from 2027-03-28 03:00 CEST to 2027-03-28 03:01 CEST"},
	} {
		now := utc(t, tt.now)
		at(t, now, func(t *testing.T) {
			r := roster(
				people.Shift{Who: person("ana"), Role: "sre", From: now, To: utc(t, tt.to)},
				people.Shift{Who: person("ben"), Role: "sre", From: utc(t, tt.from), To: now.Add(24 * time.Hour)})
			r.Zone = zone
			o := people.AwakeOptions{Roster: r, Roles: []string{"sre"}, For: 12 * time.Hour}
			expect(t, tt.want, people.Awake(o).Check(t.Context()), checks.Fail, tt.want)
		})
	}
}

// A shift of a day by the clock lasts 25 hours when summer time ends, and is not too long.
func TestShiftOfADay(t *testing.T) {
	zone := vienna(t)
	for _, tt := range []struct {
		name     string
		from, to time.Time
		want     checks.Status
	}{
		{"summer time ends", time.Date(2026, 10, 25, 0, 0, 0, 0, zone), time.Date(2026, 10, 26, 0, 0, 0, 0, zone), checks.Pass},
		{"and one minute", time.Date(2026, 10, 25, 0, 0, 0, 0, zone), time.Date(2026, 10, 26, 0, 1, 0, 0, zone), checks.Fail},
		{"summer time begins", time.Date(2027, 3, 28, 0, 0, 0, 0, zone), time.Date(2027, 3, 29, 0, 0, 0, 0, zone), checks.Pass},
		{"24 hours", time.Date(2027, 3, 28, 0, 0, 0, 0, zone), time.Date(2027, 3, 29, 1, 0, 0, 0, zone), checks.Pass},
		{"24 hours and a minute", time.Date(2027, 3, 28, 0, 0, 0, 0, zone), time.Date(2027, 3, 29, 1, 1, 0, 0, zone), checks.Fail},
	} {
		at(t, tt.from, func(t *testing.T) {
			r := roster(people.Shift{Who: person("ana"), Role: "sre", From: tt.from, To: tt.to})
			r.Zone = zone
			expect(t, tt.name, people.Awake(people.AwakeOptions{Roster: r, Roles: []string{"sre"}, For: time.Hour}).Check(t.Context()), tt.want)
		})
	}
}

func TestAwake(t *testing.T) {
	now := utc(t, "2026-12-01 09:00")
	h := func(n float64) time.Time { return now.Add(time.Duration(n * float64(time.Hour))) }
	shift := func(who, role string, from, to float64) people.Shift {
		return people.Shift{Who: person(who), Role: role, From: h(from), To: h(to)}
	}
	both := []string{"sre", "privacy"}
	at(t, now, func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			shifts []people.Shift
			want   checks.Status
			names  []string
		}{
			{"both roles", []people.Shift{shift("ana", "sre", -1, 12), shift("pia", "privacy", 0, 8)}, checks.Pass, nil},
			{"one person with both roles", []people.Shift{shift("ana", "sre", -1, 12), shift("ana", "privacy", -1, 12)}, checks.Pass, nil},
			{"in any order, overlapping", []people.Shift{shift("ben", "sre", 3, 8), shift("ana", "sre", 0, 5), shift("ana", "sre", 1, 2), shift("pia", "privacy", 0, 8)}, checks.Pass, nil},
			{"no shift", nil, checks.Fail, []string{"no privacy is on call from 2026-12-01 09:00 UTC to 2026-12-01 17:00 UTC", "no sre"}},
			{"a role without a shift", []people.Shift{shift("ana", "sre", 0, 8)}, checks.Fail, []string{"no privacy"}},
			{"another spelling of a role", []people.Shift{shift("ana", "SRE", 0, 8), shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"no sre"}},
			{"a hole at the beginning", []people.Shift{shift("ana", "sre", 0.5, 8), shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"from 2026-12-01 09:00 UTC to 2026-12-01 09:30 UTC"}},
			{"a hole at the end", []people.Shift{shift("ana", "sre", 0, 7.5), shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"from 2026-12-01 16:30 UTC to 2026-12-01 17:00 UTC"}},
			{"two holes", []people.Shift{shift("ana", "sre", 0, 1), shift("ben", "sre", 2, 3), shift("ana", "sre", 4, 8), shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"10:00 UTC to 2026-12-01 11:00", "12:00 UTC to 2026-12-01 13:00"}},
			{"the end before the beginning", []people.Shift{shift("ana", "sre", 0, 8), shift("ben", "sre", 5, 3), shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"ben", "from 2026-12-01 14:00 UTC to 2026-12-01 12:00 UTC"}},
			{"an empty shift", []people.Shift{shift("ana", "sre", 0, 8), shift("ben", "sre", 3, 3), shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"ben"}},
			{"a broken shift of another role", []people.Shift{shift("ana", "sre", 0, 8), shift("ben", "dev", 5, 3), shift("pia", "privacy", 0, 8)}, checks.Pass, nil},
			{"a shift without a person", []people.Shift{shift("  ", "sre", 0, 8), shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"has no person", "no sre"}},
			{"24 hours", []people.Shift{shift("ana", "sre", -16, 8), shift("pia", "privacy", 0, 8)}, checks.Pass, nil},
			{"more than 24 hours", []people.Shift{shift("ana", "sre", -17, 8), shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"ana", "25h0m0s"}},
			{"more than 24 hours in two shifts", []people.Shift{shift("ana", "sre", -17, 4), shift(" Ana", "privacy", 4, 8), shift("ben", "sre", 4, 8), shift("pia", "privacy", 0, 4)}, checks.Fail, []string{"ana", "25h0m0s"}},
			{"60 hours in three roles", []people.Shift{shift("ana", "dba", -30, -1), shift("ana", "sre", -1, 8), shift("ana", "dba", 8, 30), shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"ana", "60h0m0s"}},
			{"60 hours in another role", []people.Shift{shift("ana", "dba", -30, 30), shift("ben", "sre", 0, 8), shift("pia", "privacy", 0, 8)}, checks.Pass, nil},
			{"a break between roles", []people.Shift{shift("ana", "dba", -30, -2), shift("ana", "sre", -1, 8), shift("pia", "privacy", 0, 8)}, checks.Pass, nil},
			{"a broken shift of another day", []people.Shift{shift("ana", "sre", 0, 8), shift("ben", "sre", -8000, -9000), shift("ben", "sre", 8.5, 8.5), shift("", "sre", -9, -1), shift("pia", "privacy", 0, 8)}, checks.Pass, nil},
			{"a broken shift around now", []people.Shift{shift("ana", "sre", 0, 8), shift("ben", "sre", 1, -1), shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"ben"}},
			{"a shift without times", []people.Shift{shift("ana", "sre", 0, 8), {Who: person("ben"), Role: "sre"}, shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"ben"}},
			{"a shift without an end", []people.Shift{shift("ana", "sre", 0, 8), {Who: person("ben"), Role: "sre", From: h(9)}, shift("pia", "privacy", 0, 8)}, checks.Fail, []string{"ben"}},
			{"a break between", []people.Shift{shift("ana", "sre", -17, -1), shift("ana", "sre", 0, 8), shift("pia", "privacy", 0, 8)}, checks.Pass, nil},
			{"too long, but over", []people.Shift{shift("ana", "sre", -30, 0), shift("ben", "sre", 0, 8), shift("pia", "privacy", 0, 8)}, checks.Pass, nil},
		} {
			o := people.AwakeOptions{Roster: roster(tt.shifts...), Roles: both, For: 8 * time.Hour}
			expect(t, tt.name, people.Awake(o).Check(t.Context()), tt.want, tt.names...)
		}
		o := people.AwakeOptions{Roster: roster(shift("ana", "sre", 0, 8)), Roles: []string{"sre"}, For: 8 * time.Hour, MaxShift: 8*time.Hour - time.Second}
		expect(t, "a lower limit", people.Awake(o).Check(t.Context()), checks.Fail, "8h0m0s")
		o.MaxShift += time.Second
		expect(t, "at the limit", people.Awake(o).Check(t.Context()), checks.Pass)
	})
}

// Subjects of people decide, not their names.
func TestSameSubject(t *testing.T) {
	now := utc(t, "2026-12-01 09:00")
	at(t, now, func(t *testing.T) {
		who := func(subject string) checklist.Person { return checklist.Person{Subject: subject, Name: "ana"} }
		for second, want := range map[string]checks.Status{"idp|1": checks.Fail, "idp|2": checks.Pass} {
			r := roster(
				people.Shift{Who: who("idp|1"), Role: "sre", From: now.Add(-20 * time.Hour), To: now},
				people.Shift{Who: who(second), Role: "sre", From: now, To: now.Add(8 * time.Hour)})
			expect(t, second, people.Awake(people.AwakeOptions{Roster: r, Roles: []string{"sre"}, For: time.Hour}).Check(t.Context()), want)
		}
	})
}

// One person with and without a subject is one person; two subjects are two people, also if
// they have one name.
func TestSpellings(t *testing.T) {
	now := utc(t, "2026-12-01 09:00")
	at(t, now, func(t *testing.T) {
		h := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
		who := func(subject, name string) checklist.Person { return checklist.Person{Subject: subject, Name: name} }
		awake := func(on ...checklist.Person) checks.Result {
			var shifts []people.Shift
			for i, p := range on { // 20 hours each, the second one from now on
				shifts = append(shifts, people.Shift{Who: p, Role: "sre", From: h(20*i - 20), To: h(20 * i)})
			}
			return people.Awake(people.AwakeOptions{Roster: roster(shifts...), Roles: []string{"sre"}, For: time.Hour}).Check(t.Context())
		}
		expect(t, "with and without a subject", awake(who("u1", "Ana"), who("", "ana")), checks.Fail, "40h0m0s")
		expect(t, "without and with a subject", awake(who("", "ana"), who("u1", "Ana")), checks.Fail, "40h0m0s")
		expect(t, "two names of a subject", awake(who("u1", "Ana"), who("u1", "Ana Maria"), who("", "ana maria")), checks.Fail, "60h0m0s")
		expect(t, "two subjects and their name", awake(who("u1", "ana"), who("", "ana"), who("u2", "ana")), checks.Fail, "40h0m0s")
		expect(t, "two subjects", awake(who("u1", "ana"), who("u2", "ana")), checks.Pass)
		expect(t, "a subject like the name of another one", awake(who("lea", "Mallory"), who("", "Lea")), checks.Pass)

		record := func(p checklist.Person) people.Training {
			return people.Training{Who: p, Course: "c", At: h(-1), Until: h(100)}
		}
		trained := func(need int, on checklist.Person, approvers []checklist.Person, records ...checklist.Person) checks.Result {
			return people.Trained(people.TrainedOptions{Course: "c", Need: need, For: time.Hour,
				Roster: roster(people.Shift{Who: on, Role: "sre", From: h(-1), To: h(10)}),
				Records: func(context.Context) ([]people.Training, error) {
					var all []people.Training
					for _, p := range records {
						all = append(all, record(p))
					}
					return all, nil
				},
				Approvers: func(context.Context) ([]checklist.Person, error) { return approvers, nil },
			}).Check(t.Context())
		}
		ana, bare, other := who("u1", "ana"), who("", "Ana"), who("u2", "ana")
		mallory, lea := who("lea", "Mallory"), who("", "Lea")
		expect(t, "one approver in two spellings", trained(2, ana, []checklist.Person{ana, bare}, ana, bare), checks.Fail, "1 of 2 approvers")
		expect(t, "the bare one first", trained(2, ana, []checklist.Person{bare, ana}, ana, bare), checks.Fail, "1 of 2 approvers")
		expect(t, "two approvers with one name", trained(2, ana, []checklist.Person{ana, bare, other}, ana, other), checks.Pass)
		expect(t, "a record without a subject", trained(1, ana, []checklist.Person{ana}, bare), checks.Pass)
		expect(t, "a record with a subject", trained(1, bare, []checklist.Person{bare}, ana), checks.Pass)
		expect(t, "a record of another subject", trained(1, ana, []checklist.Person{ana}, other), checks.Fail, "0 of 1 approvers", "ana is on call")
		expect(t, "a record of a subject like the name", trained(1, lea, []checklist.Person{lea}, mallory), checks.Fail, "0 of 1 approvers", "Lea is on call")

		// Another person of that name is trained, but not the one whose shift has a subject.
		r := people.Trained(people.TrainedOptions{Course: "c", For: 10 * time.Hour,
			Roster:    roster(people.Shift{Who: bare, Role: "sre", From: h(-1), To: h(1)}, people.Shift{Who: ana, Role: "sre", From: h(1), To: h(10)}),
			Records:   func(context.Context) ([]people.Training, error) { return []people.Training{record(other)}, nil },
			Approvers: func(context.Context) ([]checklist.Person, error) { return []checklist.Person{other}, nil },
		}).Check(t.Context())
		expect(t, "two shifts of one person", r, checks.Fail, "ana is on call")

		reachable := func(contact, called checklist.Person) checks.Result {
			return people.Reachable(people.ReachableOptions{Contact: contact, Calls: func(context.Context) ([]people.Call, error) {
				return []people.Call{{Who: called, At: h(-1), Answered: true}}, nil
			}}).Check(t.Context())
		}
		expect(t, "a call without a subject", reachable(ana, bare), checks.Pass)
		expect(t, "a call to another subject", reachable(ana, other), checks.Fail)
		expect(t, "a call to a subject like the name", reachable(lea, mallory), checks.Fail)
		one, _ := checks.DigestOf(people.Reachable(people.ReachableOptions{Contact: who("lea", "")}))
		if two, _ := checks.DigestOf(people.Reachable(people.ReachableOptions{Contact: lea})); one == two {
			t.Error("a subject and a name have the same digest")
		}
	})
}

// Without For, the window ends with the rollout that runs the check.
func TestUntilTheEndOfTheRollout(t *testing.T) {
	now := utc(t, "2026-12-01 09:00")
	at(t, now, func(t *testing.T) {
		var from, to time.Time
		r := people.Roster{Shifts: func(_ context.Context, a, b time.Time) ([]people.Shift, error) {
			from, to = a, b
			return []people.Shift{{Who: person("ana"), Role: "sre", From: now, To: now.Add(6 * time.Hour)}}, nil
		}}
		records := func(context.Context) ([]people.Training, error) {
			return []people.Training{{Who: person("ana"), Course: "c", At: now, Until: now.Add(4 * time.Hour)}}, nil
		}
		approvers := func(context.Context) ([]checklist.Person, error) { return []checklist.Person{person("ana")}, nil }
		awake := people.Awake(people.AwakeOptions{Roster: r, Roles: []string{"sre"}})
		trained := people.Trained(people.TrainedOptions{Roster: r, Course: "c", Records: records, Approvers: approvers})
		for _, tt := range []struct {
			name           string
			until          time.Time
			awake, trained checks.Status
		}{
			{"no end", time.Time{}, checks.Unknown, checks.Unknown},
			{"over", now, checks.Unknown, checks.Unknown},
			{"4 hours", now.Add(4 * time.Hour), checks.Pass, checks.Pass},
			{"5 hours", now.Add(5 * time.Hour), checks.Pass, checks.Fail},
			{"6 hours and a second", now.Add(6*time.Hour + time.Second), checks.Fail, checks.Fail},
		} {
			ctx := checks.WithSubject(t.Context(), checks.Subject{Until: tt.until})
			expect(t, tt.name, awake.Check(ctx), tt.awake)
			if tt.awake != checks.Unknown && (!from.Equal(now.Add(-24*time.Hour)) || !to.Equal(tt.until.Add(24*time.Hour))) {
				t.Errorf("%s: asked for %v to %v", tt.name, from, to)
			}
			expect(t, tt.name, trained.Check(ctx), tt.trained)
		}
		expect(t, "no subject", awake.Check(t.Context()), checks.Unknown)
		expect(t, "no subject", trained.Check(t.Context()), checks.Unknown)
	})
}

func TestTrained(t *testing.T) {
	now := utc(t, "2026-12-01 09:00")
	day := 24 * time.Hour
	rec := func(who, course string, at, until time.Duration) people.Training {
		return people.Training{Who: person(who), Course: course, At: now.Add(at), Until: now.Add(until)}
	}
	good := func(who string) people.Training { return rec(who, "llm", -day, day) }
	at(t, now, func(t *testing.T) {
		for _, tt := range []struct {
			name      string
			records   []people.Training
			approvers []string
			want      checks.Status
			names     []string
		}{
			{"all", []people.Training{good("ana"), good("ben"), good("Lea "), good("max")}, []string{"lea", "max"}, checks.Pass, nil},
			{"one approver twice", []people.Training{good("ana"), good("ben"), good("lea")}, []string{"lea", " LEA"}, checks.Fail, []string{"1 of 2 approvers"}},
			{"an approver without a name", []people.Training{good("ana"), good("ben"), good("lea"), good("")}, []string{"lea", ""}, checks.Fail, []string{"1 of 2 approvers"}},
			{"people on call who approve", []people.Training{good("ana"), good("ben")}, []string{"ana", "ben"}, checks.Pass, nil},
			{"ben is not trained", []people.Training{good("ana"), good("lea"), good("max")}, []string{"lea", "max"}, checks.Fail, []string{"ben is on call, and has no record of llm"}},
			{"another course", []people.Training{good("ana"), rec("ben", "LLM", -day, day), good("lea"), good("max")}, []string{"lea", "max"}, checks.Fail, []string{"ben"}},
			{"expired now", []people.Training{good("ana"), rec("ben", "llm", -day, 0), good("lea"), good("max")}, []string{"lea", "max"}, checks.Fail, []string{"ben", "expired 2026-12-01 09:00 UTC"}},
			{"expires during the shift", []people.Training{good("ana"), rec("ben", "llm", -day, 3*time.Hour-1), good("lea"), good("max")}, []string{"lea", "max"}, checks.Fail, []string{"ben", "expires"}},
			{"expires after the shift", []people.Training{good("ana"), rec("ben", "llm", -day, 3*time.Hour), good("lea"), good("max")}, []string{"lea", "max"}, checks.Pass, nil},
			{"an approver's expires now", []people.Training{good("ana"), good("ben"), good("lea"), rec("max", "llm", -day, 0)}, []string{"lea", "max"}, checks.Fail, []string{"1 of 2 approvers"}},
			{"an approver's expires next", []people.Training{good("ana"), good("ben"), good("lea"), rec("max", "llm", -day, 1)}, []string{"lea", "max"}, checks.Pass, nil},
			{"in the future", []people.Training{good("ana"), rec("ben", "llm", 2*time.Minute+1, day), good("lea"), good("max")}, []string{"lea", "max"}, checks.Fail, []string{"ben"}},
			{"a clock that is 2 minutes ahead", []people.Training{good("ana"), rec("ben", "llm", 2*time.Minute, day), good("lea"), good("max")}, []string{"lea", "max"}, checks.Pass, nil},
			{"without a time", []people.Training{good("ana"), {Who: person("ben"), Course: "llm", Until: now.Add(day)}, good("lea"), good("max")}, []string{"lea", "max"}, checks.Fail, []string{"ben"}},
			{"without an end", []people.Training{good("ana"), {Who: person("ben"), Course: "llm", At: now.Add(-day)}, good("lea"), good("max")}, []string{"lea", "max"}, checks.Fail, []string{"ben"}},
			{"renewed", []people.Training{good("ana"), good("ben"), rec("ben", "llm", -3*day, -2*day), good("lea"), good("max")}, []string{"lea", "max"}, checks.Pass, nil},
		} {
			o := people.TrainedOptions{
				Course: "llm", Need: 2, For: 4 * time.Hour, Roles: []string{"sre"},
				Records: func(context.Context) ([]people.Training, error) { return tt.records, nil },
				Approvers: func(context.Context) (all []checklist.Person, _ error) {
					for _, a := range tt.approvers {
						all = append(all, person(a))
					}
					return all, nil
				},
				Roster: roster(
					people.Shift{Who: person("ana"), Role: "sre", From: now.Add(-time.Hour), To: now.Add(30 * time.Hour)},
					people.Shift{Who: person("ben"), Role: "sre", From: now.Add(time.Hour), To: now.Add(2 * time.Hour)},
					people.Shift{Who: person("ben"), Role: "sre", From: now.Add(2 * time.Hour), To: now.Add(3 * time.Hour)},
					people.Shift{Who: person("pia"), Role: "privacy", From: now, To: now.Add(time.Hour)},
					people.Shift{Who: person("old"), Role: "sre", From: now.Add(-2 * time.Hour), To: now},
					people.Shift{Who: person("new"), Role: "sre", From: now.Add(4 * time.Hour), To: now.Add(5 * time.Hour)}),
			}
			expect(t, tt.name, people.Trained(o).Check(t.Context()), tt.want, tt.names...)
			o.Roles = nil // then pia must be trained too
			expect(t, tt.name+", all roles", people.Trained(o).Check(t.Context()), checks.Fail, "pia")
			o.Roles = []string{"dev"}
			expect(t, tt.name+", no one on call", people.Trained(o).Check(t.Context()), checks.Fail, "no person is on call")
			o.Roster = roster(people.Shift{Who: person("ana"), Role: "dev", From: now, To: now.Add(time.Hour)}, people.Shift{Who: person("ben"), Role: "dev", From: now, To: now})
			expect(t, tt.name+", a broken shift", people.Trained(o).Check(t.Context()), checks.Fail, "ben")
		}
	})
}

func TestReachable(t *testing.T) {
	now := utc(t, "2026-12-31 09:00")
	day := 24 * time.Hour
	call := func(who string, ago time.Duration, answered bool) people.Call {
		return people.Call{Who: person(who), At: now.Add(-ago), Answered: answered}
	}
	at(t, now, func(t *testing.T) {
		for _, tt := range []struct {
			name  string
			calls []people.Call
			want  checks.Status
			names []string
		}{
			{"answered", []people.Call{call("LEA ", 10*day, true)}, checks.Pass, []string{"2026-12-21 09:00 UTC"}},
			{"nearly 30 days ago", []people.Call{call("lea", 30*day-1, true)}, checks.Pass, nil},
			{"30 days ago", []people.Call{call("lea", 30*day, true)}, checks.Fail, []string{"lea", "2026-12-01 09:00 UTC"}},
			{"never", nil, checks.Fail, []string{"lea"}},
			{"another person", []people.Call{call("ben", day, true)}, checks.Fail, []string{"lea"}},
			{"not answered", []people.Call{call("lea", day, false), call("lea", 2*day, true)}, checks.Fail, []string{"did not answer", "2026-12-30 09:00 UTC"}},
			{"answered since", []people.Call{call("lea", 2*day, false), call("lea", day, true)}, checks.Pass, nil},
			{"both at the same time", []people.Call{call("lea", day, true), call("lea", day, false)}, checks.Fail, []string{"did not answer"}},
			{"both at the same time, in another order", []people.Call{call("lea", day, false), call("lea", day, true)}, checks.Fail, []string{"did not answer"}},
			{"in the future", []people.Call{call("lea", -2*time.Minute-1, true)}, checks.Fail, []string{"no test call"}},
			{"a clock that is 2 minutes ahead", []people.Call{call("lea", -2*time.Minute, true)}, checks.Pass, nil},
			{"without a time", []people.Call{{Who: person("lea"), Answered: true}}, checks.Fail, []string{"no test call"}},
		} {
			o := people.ReachableOptions{Contact: person("lea"), Calls: func(context.Context) ([]people.Call, error) { return tt.calls, nil }}
			expect(t, tt.name, people.Reachable(o).Check(t.Context()), tt.want, tt.names...)
		}
		o := people.ReachableOptions{
			Contact: person("lea"), Within: 7 * day,
			Calls: func(context.Context) ([]people.Call, error) { return []people.Call{call("lea", 7*day, true)}, nil },
		}
		expect(t, "a lower limit", people.Reachable(o).Check(t.Context()), checks.Fail, "lea")
	})
}

// source is one function of the options that the checks read.
type source struct {
	name  string
	check func(fail func() error, n int) checks.Check
}

// sources are all sources. fail is called instead of reading, and n entries are returned.
var sources = []source{
	{"roster", func(fail func() error, n int) checks.Check {
		return people.Awake(people.AwakeOptions{Roles: []string{"sre"}, For: time.Hour, Roster: failing(fail, n)})
	}},
	{"roster of Trained", func(fail func() error, n int) checks.Check { return trained(fail, none, none, n) }},
	{"records", func(fail func() error, n int) checks.Check { return trained(none, fail, none, n) }},
	{"approvers", func(fail func() error, n int) checks.Check { return trained(none, none, fail, n) }},
	{"calls", func(fail func() error, n int) checks.Check {
		return people.Reachable(people.ReachableOptions{Contact: person("lea"), Calls: func(context.Context) ([]people.Call, error) {
			return make([]people.Call, n), fail()
		}})
	}},
}

func none() error { return nil }

func failing(fail func() error, n int) people.Roster {
	return people.Roster{Shifts: func(context.Context, time.Time, time.Time) ([]people.Shift, error) {
		return make([]people.Shift, n), fail()
	}}
}

func trained(roster, records, approvers func() error, n int) checks.Check {
	return people.Trained(people.TrainedOptions{
		Course: "c", For: time.Hour, Roster: failing(roster, n),
		Records:   func(context.Context) ([]people.Training, error) { return make([]people.Training, n), records() },
		Approvers: func(context.Context) ([]checklist.Person, error) { return make([]checklist.Person, n), approvers() },
	})
}

func TestSourcesThatFail(t *testing.T) {
	down := errors.New("down")
	for _, s := range sources {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := s.check(func() error { return down }, 0).Check(t.Context())
				expect(t, "an error", r, checks.Unknown)
				if !errors.Is(r.Err, down) {
					t.Errorf("error %v, want %v", r.Err, down)
				}
				r = s.check(func() error { panic("x") }, 0).Check(t.Context())
				if panicked := (*checks.PanicError)(nil); r.Status != checks.Unknown || !errors.As(r.Err, &panicked) {
					t.Errorf("a panic: %+v", r)
				}
				expect(t, "too many entries", s.check(none, 10_001).Check(t.Context()), checks.Unknown)
				if r = s.check(none, 10_000).Check(t.Context()); r.Status != checks.Fail {
					t.Errorf("as many entries as allowed: %+v", r)
				}
				secret := &url.Error{Op: "Get", URL: "https://pager.example.com/?token=s3cret", Err: down}
				r = s.check(func() error { return fmt.Errorf("pager: %w", secret) }, 0).Check(t.Context())
				if text := fmt.Sprint(r.Summary, r.Err, r.Evidence); r.Status != checks.Unknown || strings.Contains(text, "s3cret") {
					t.Errorf("%v: %s", r.Status, text)
				}
				for _, text := range []string{`parse "https://u:s3cret@pager/x?token=s3cret": bad`, "app:s3cret@tcp(db:3306)/x", "password=s3cret", `{"password":"s3cret"}`, "Bearer s3cret"} {
					r = s.check(func() error { return fmt.Errorf("pager: %s", text) }, 0).Check(t.Context())
					if r.Err == nil || strings.Contains(r.Err.Error(), "s3cret") || !strings.Contains(r.Err.Error(), "pager") {
						t.Errorf("%s: %v", text, r.Err)
					}
				}
				r = s.check(func() error { return errors.New(strings.Repeat("\x00ü ", 1<<20)) }, 0).Check(t.Context())
				if text := fmt.Sprint(r.Err); len(text) > 512 || strings.Contains(text, "\x00") {
					t.Errorf("an error of %d bytes", len(text))
				}
				began := time.Now()
				r = s.check(func() error { time.Sleep(time.Hour); return nil }, 0).Check(t.Context())
				expect(t, "no answer", r, checks.Unknown)
				if took := time.Since(began); took != 10*time.Second {
					t.Errorf("no answer: took %v, want 10 s", took)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				expect(t, "a context that has ended", s.check(none, 0).Check(ctx), checks.Unknown)
				time.Sleep(time.Hour) // until the call that was abandoned has returned
			})
		})
	}
}

// Texts from outside are bounded, and have no control characters.
func TestTextsFromOutside(t *testing.T) {
	now := time.Now()
	var shifts []people.Shift
	for i := range 500 {
		shifts = append(shifts, people.Shift{Who: person(strings.Repeat("ä", 500) + "\x1b[2K"), Role: "sre", From: now.Add(time.Duration(i) * time.Minute), To: now})
		shifts = append(shifts, people.Shift{Who: person("a\x1b[2K"), Role: "sre", From: now.Add(time.Duration(i) * time.Minute), To: now})
	}
	slices.Reverse(shifts)
	r := people.Awake(people.AwakeOptions{Roster: roster(shifts...), Roles: []string{"sre"}, For: time.Hour}).Check(t.Context())
	if r.Status != checks.Fail || len(r.Summary) > 1000 || strings.ContainsRune(r.Summary, '\x1b') || !strings.HasSuffix(r.Summary, " more") {
		t.Errorf("%v, %d bytes: %q", r.Status, len(r.Summary), r.Summary)
	}
}

func TestInvalidOptions(t *testing.T) {
	calls := func(context.Context) ([]people.Call, error) { return nil, nil }
	for _, tt := range []struct {
		name, want string
		check      checks.Check
	}{
		{"zero AwakeOptions", "AwakeOptions.Roster.Shifts AwakeOptions.Roles", people.Awake(people.AwakeOptions{})},
		{"AwakeOptions", "AwakeOptions.Roster.Shifts AwakeOptions.For AwakeOptions.Roles[1] AwakeOptions.Roles[2] AwakeOptions.MaxShift", people.Awake(people.AwakeOptions{Roles: []string{"sre", "", "a\nb"}, For: -1, MaxShift: -1})},
		{"zero TrainedOptions", "TrainedOptions.Course TrainedOptions.Records TrainedOptions.Approvers TrainedOptions.Roster.Shifts", people.Trained(people.TrainedOptions{})},
		{"TrainedOptions", "TrainedOptions.Course TrainedOptions.Records TrainedOptions.Approvers TrainedOptions.Need TrainedOptions.For TrainedOptions.Roles[0]", people.Trained(people.TrainedOptions{Course: strings.Repeat("x", 129), Need: -1, Roster: roster(), For: -1, Roles: []string{""}})},
		{"zero ReachableOptions", "ReachableOptions.Contact ReachableOptions.Calls", people.Reachable(people.ReachableOptions{})},
		{"ReachableOptions", "ReachableOptions.Contact ReachableOptions.Within", people.Reachable(people.ReachableOptions{Contact: person(" "), Calls: calls, Within: -1})},
	} {
		r := tt.check.Check(t.Context())
		var fields []string
		for e := range checks.Invalid(r.Err) {
			if e.Package != "people" {
				t.Errorf("%s: package %q", tt.name, e.Package)
			}
			fields = append(fields, e.Field)
		}
		if got := strings.Join(fields, " "); r.Status != checks.Unknown || got != tt.want {
			t.Errorf("%s: %v, fields %q, want %q", tt.name, r.Status, got, tt.want)
		}
	}
}

func TestConformance(t *testing.T) {
	for _, s := range sources {
		t.Run(s.name, func(t *testing.T) {
			checkstest.Exercise(t, func(*testing.T) checks.Check { return s.check(none, 0) })
		})
	}
}

// Checks with different requirements have different digests.
func TestDigest(t *testing.T) {
	seen := make(map[string]int)
	var all []checks.Check
	for _, o := range []people.AwakeOptions{
		{Roster: roster(), Roles: []string{"sre"}}, {Roster: roster(), Roles: []string{"sre", "dev"}},
		{Roster: roster(), Roles: []string{"sre"}, For: 1}, {Roster: roster(), Roles: []string{"sre"}, MaxShift: 1},
	} {
		all = append(all, people.Awake(o))
	}
	for _, o := range []people.TrainedOptions{{}, {Course: "c"}, {Need: 2}, {Roles: []string{"sre"}}, {For: 1}} {
		all = append(all, people.Trained(o))
	}
	for _, o := range []people.ReachableOptions{{}, {Contact: person("lea")}, {Within: 1}} {
		all = append(all, people.Reachable(o))
	}
	for i, c := range all {
		digest, err := checks.DigestOf(c)
		if other, twice := seen[digest]; err != nil || digest == "" || twice {
			t.Errorf("check %d: digest %q, %v, as check %d: %v", i, digest, err, other, twice)
		}
		seen[digest] = i
	}
	same := func(c checks.Check) string { d, _ := checks.DigestOf(c); return d }
	if same(people.Awake(people.AwakeOptions{Roles: []string{"a", "b"}, MaxShift: 24 * time.Hour})) != same(people.Awake(people.AwakeOptions{Roles: []string{"b", "a", "a"}})) {
		t.Error("the order of roles, or a default, changes the digest")
	}
}
