package people_test

import (
	"context"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/people"
)

// The roster of this example: ana now, and ben from tomorrow on.
func shifts(context.Context, time.Time, time.Time) ([]people.Shift, error) {
	now := time.Now()
	return []people.Shift{
		{Who: checklist.Person{Name: "ana"}, Role: "sre", From: now.Add(-8 * time.Hour), To: now.Add(16 * time.Hour)},
		{Who: checklist.Person{Name: "ben"}, Role: "sre", From: now.Add(16 * time.Hour), To: now.Add(40 * time.Hour)},
	}, nil
}

// A rollout that may take a day needs people who are on call until its end.
func ExampleAwake() {
	support := people.Awake(people.AwakeOptions{
		Roster: people.Roster{Shifts: shifts},
		Roles:  []string{"sre"},
	})
	for _, d := range []time.Duration{24 * time.Hour, 48 * time.Hour} {
		rollout := checks.Subject{Target: "chat", Until: time.Now().Add(d)}
		result := support.Check(checks.WithSubject(context.Background(), rollout))
		fmt.Println(d, result.Status, result.Evidence["holes"])
	}
	// Output:
	// 24h0m0s pass 0
	// 48h0m0s fail 1
}

// Everyone on call must have taken the course, and one of the approvers.
func ExampleTrained() {
	training := people.Trained(people.TrainedOptions{
		Course: "llm-incident",
		Records: func(context.Context) ([]people.Training, error) {
			taken := time.Now().AddDate(0, -1, 0)
			return []people.Training{
				{Who: checklist.Person{Name: "ana"}, Course: "llm-incident", At: taken, Until: taken.AddDate(1, 0, 0)},
				{Who: checklist.Person{Name: "lea"}, Course: "llm-incident", At: taken, Until: taken.AddDate(1, 0, 0)},
			}, nil
		},
		Approvers: func(context.Context) ([]checklist.Person, error) {
			return []checklist.Person{{Name: "lea"}}, nil
		},
		Roster: people.Roster{Shifts: shifts},
		For:    24 * time.Hour,
	})
	result := training.Check(context.Background())
	fmt.Println(result.Status, result.Summary)
	// Output: fail ben is on call, and has no record of llm-incident
}

// The escalation contact must have answered the last test call.
func ExampleReachable() {
	contact := checklist.Person{Name: "lea"}
	reachable := people.Reachable(people.ReachableOptions{
		Contact: contact,
		Calls: func(context.Context) ([]people.Call, error) {
			return []people.Call{{Who: contact, At: time.Now().AddDate(0, 0, -3), Answered: true}}, nil
		},
	})
	fmt.Println(reachable.Check(context.Background()).Status)
	// Output: pass
}
