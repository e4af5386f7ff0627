// Package traced is what the router says to a tracer about a request, through the context
// of the request. The two need not import each other, and the router links no tracer.
package traced
