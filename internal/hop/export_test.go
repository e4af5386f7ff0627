package hop

// Quiet is quiet for tests.
var Quiet = quiet
