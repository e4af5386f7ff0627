// Package tuning exports feedback that may be used to tune a model: with consent, redacted,
// pseudonymous, without near duplicates, k-anonymous, and with the provenance of each line.
//
//	exporter, err := tuning.New(tuning.Config{Purpose: "tuning", Consent: consent, Redactor: redactor, Pseudonyms: pseudonyms})
//	...
//	export, err := exporter.Write(ctx, file, rows) // what was left out, and the sum of the file
//
// Redaction does not find everything; see package privacy. Names of people in free text are
// one example.
//
// # Dependencies
//
// The standard library.
package tuning
