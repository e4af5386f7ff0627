// Package examples documents the programs below this folder. It has no code.
//
// Each folder is one program that a person starts, with a README.md that says what to
// type and what to expect. See README.md in this folder for where to begin.
//
// # What belongs here
//
// Programs that use public packages only, as the program of a user would. An example
// that needs a module which the library does not require is a module of its own. Code
// that another package could use belongs to the library.
package examples
