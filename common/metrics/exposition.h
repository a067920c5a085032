// Exposition: all metrics as text, each summed over the pages.
//
// Source   Prometheus' text format 0.0.4, and OpenMetrics 1.0: there a counter's family has no "_total", counters and
//          histograms say since when they count ("_created"), and the text ends with "# EOF".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/metrics/metrics.h"

namespace beamgate::metrics {

enum class Format : uint8_t { Prometheus, OpenMetrics };

class Exposition {
 public:
  // created_ms: Unix time since when is counted.
  Exposition(Format format, int64_t created_ms) : format_(format), created_ms_(created_ms) {}

  // pages: by slot; what is behind them is no worker's.
  void add_pages(std::span<const Page* const> pages);

  // A family of gauges that is nobody's row: begin_gauge(), then its lines.  A value of a label is escaped with label().
  void begin_gauge(std::string_view name, std::string_view help);
  void line(std::string_view name, std::string_view labels, std::string_view value);

  std::string finish() &&;

 private:
  void head(std::string_view family, const char* type, std::string_view help);
  void add_row(std::span<const Page* const> pages, Metric metric);
  void add_histogram(std::span<const Page* const> pages, Histogram histogram);
  void created(std::string_view family, std::string_view labels);

  const Format format_;
  const int64_t created_ms_;
  std::string text_;
};

// name="value", escaped.
std::string label(std::string_view name, std::string_view value);

}  // namespace beamgate::metrics
