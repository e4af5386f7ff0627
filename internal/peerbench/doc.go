// Package peerbench holds this library against its peers, in a module of its
// own so that nobody who uses the library has to fetch them.
//
//	cd internal/peerbench && go test -bench . -benchmem
package peerbench
