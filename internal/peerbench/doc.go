// Package peerbench holds this library against its peers, in a module of its
// own, so that users of the library do not fetch them.
//
//	cd internal/peerbench && go test -bench . -benchmem
//
// Command hop in it compares what stands between a caller and a model server.
package peerbench
