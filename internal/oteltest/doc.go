// Package oteltest is a module of its own that tests what Serin gives to
// OpenTelemetry with its SDK, which no importer of Serin links.
package oteltest
