package api

// Route is an operation, for tests.
type Route struct {
	Method, Pattern string
	Query           []string
}

// Routes returns all operations.
func Routes() []Route {
	var all []Route
	for _, rt := range routes {
		all = append(all, Route{rt.method, rt.pattern, rt.query})
	}
	return all
}

// OpenAPI is the document that is served.
var OpenAPI = openAPI

// ProblemNames returns the names of all problems with their statuses.
func ProblemNames() map[string]int {
	all := make(map[string]int)
	for name, k := range kinds {
		all[name] = k.status
	}
	return all
}

// Pointer is pointer.
var Pointer = pointer
