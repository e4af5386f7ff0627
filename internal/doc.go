// Package internal documents the packages below this folder. It has no code.
//
// # What belongs here
//
// Algorithms that several packages share, each named by one noun, and tools of the
// tests: simulated services, labelled answers, planted bugs. Code that only one package
// uses belongs to that package. Packages here do not import public packages of this
// module, except in tests. Comparisons with other libraries are modules of their own,
// so that users of Serin do not download these libraries.
package internal
