// Package openaitest answers whether the official OpenAI client for Go is
// content with what this repository serves. It is a module of its own, so that
// the library does not require the client, and holds nothing but tests.
package openaitest
