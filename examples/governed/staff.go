package main

import (
	"context"
	"time"

	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/checklist/packs"
	"github.com/serin-go/serin/checks/people"
)

// roster is who is on call: shifts of 12 hours, by turns.
func roster(broken *fault) people.Roster {
	return people.Roster{Shifts: func(_ context.Context, from, to time.Time) ([]people.Shift, error) {
		var all []people.Shift
		for i, at := 0, from.Truncate(12*time.Hour); at.Before(to); i, at = i+1, at.Add(12*time.Hour) {
			who := []string{"ana", "eve"}[i%2]
			all = append(all, people.Shift{Who: checklist.Person{Name: who}, Role: "sre", From: at, To: at.Add(12 * time.Hour)})
		}
		if broken.is("support") && len(all) > 0 {
			all = all[:1]
			all[0].To = all[0].To.Add(-11 * time.Hour)
		}
		return all, nil
	}}
}

// trained are the options of the check that people know what to do in an incident.
func trained(broken *fault) people.TrainedOptions {
	return people.TrainedOptions{Course: "llm-incident", Need: 2, Roster: roster(&fault{}), For: day,
		Approvers: func(context.Context) ([]checklist.Person, error) {
			return []checklist.Person{{Name: "ana"}, {Name: "eve"}, {Name: "pia"}}, nil
		},
		Records: func(context.Context) ([]people.Training, error) {
			var all []people.Training
			for _, who := range []string{"ana", "eve", "pia"} {
				until := time.Now().Add(300 * day)
				if broken.is("training") {
					until = time.Now().Add(-day)
				}
				all = append(all, people.Training{Who: checklist.Person{Name: who}, Course: "llm-incident", At: time.Now().Add(-30 * day), Until: until})
			}
			return all, nil
		}}
}

// house is a pack of the company's own: which rule needs which item.
var house = packs.Pack{ID: "house", Title: "House rules", Version: "1", Checked: "2026-11-29", Source: "handbook", Controls: []packs.Control{
	{ID: "1", Title: "Encryption in transit", Items: []string{"encryption"}, Why: "Prompts are confidential."},
	{ID: "2", Title: "Impact assessment", Items: []string{"compliance"}, Why: "Answers concern people."},
	{ID: "3", Title: "Access control", Items: []string{"access-control"}, Why: "Few people need to promote."},
}}

// stricter is a pack with a rule that no item serves.
var stricter = packs.Pack{ID: "stricter", Title: "Stricter rules", Version: "1", Checked: "2026-11-29", Source: "handbook", Controls: []packs.Control{
	{ID: "1", Title: "Watermarks", Items: []string{"watermark"}, Why: "Answers are to be recognized."},
}}
