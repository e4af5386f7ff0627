// Package exposition parses the metrics pages that Prometheus scrapes: the text format
// 0.0.4 and OpenMetrics 1.0.
//
// [Parse] yields the samples of a page in their order. A line that the format does not
// allow is an error with its number, and ends the page. So does a page that stops in the
// middle: without a line feed at its end, or without "# EOF" in OpenMetrics. The scraper of
// Prometheus accepts a text page without the line feed; the format, and promtool, do not.
//
//	var waiting float64
//	for s, err := range exposition.Parse(page, contentType) {
//		if err != nil {
//			return err
//		}
//		if model, _ := s.Label("model_name"); s.Name == "vllm:num_requests_waiting" && model == "chat" {
//			waiting += s.Value
//		}
//	}
//
// [Buckets] reads histograms.
//
// What is not reported: texts of HELP lines, units, exemplars. They are parsed. Series
// that occur twice, and families that are interleaved, are not detected.
//
// Sources: "Exposition formats" of the Prometheus documentation, the UTF-8 proposal of
// Prometheus for quoted names, and the OpenMetrics 1.0 specification.
package exposition
