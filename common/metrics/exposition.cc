#include "common/metrics/exposition.h"

#include <cstdio>
#include <cstring>
#include <utility>

namespace beamgate::metrics {
namespace {

std::string seconds(uint64_t us) {
  char out[40];
  snprintf(out, sizeof out, "%llu.%06u", static_cast<unsigned long long>(us / 1'000'000),
           static_cast<unsigned>(us % 1'000'000));
  return out;
}

// A bound as people write it: 0.0025, 1.0; OpenMetrics wants a point in it.
std::string bound_text(int64_t us) {
  std::string out = seconds(static_cast<uint64_t>(us));
  while (out.ends_with('0') && !out.ends_with(".0")) out.pop_back();
  return out;
}

std::string value_text(const Row& row, uint64_t value) {
  return row.is_microseconds ? seconds(value) : std::to_string(value);
}

}  // namespace

std::string label(std::string_view name, std::string_view value) {
  std::string out = std::string(name) + "=\"";
  for (const char byte : value) {
    if (byte == '\\' || byte == '"') out += '\\';
    if (byte == '\n') {
      out += "\\n";
    } else {
      out += byte;
    }
  }
  return out += '"';
}

void Exposition::head(std::string_view family, const char* type, std::string_view help) {
  const bool is_counter = strcmp(type, "counter") == 0;
  const std::string name =
      "beamgate_" + std::string(family) + (is_counter && format_ == Format::Prometheus ? "_total" : "");
  text_ += "# HELP " + name + ' ' + std::string(help) + '\n';
  text_ += "# TYPE " + name + ' ' + type + '\n';
}

void Exposition::line(std::string_view name, std::string_view labels, std::string_view value) {
  ((text_ += "beamgate_") += name);
  if (!labels.empty()) ((text_ += '{') += labels) += '}';
  ((text_ += ' ') += value) += '\n';
}

void Exposition::created(std::string_view family, std::string_view labels) {
  if (format_ != Format::OpenMetrics || created_ms_ == 0) return;
  line(std::string(family) + "_created", labels, seconds(static_cast<uint64_t>(created_ms_) * 1'000));
}

void Exposition::begin_gauge(std::string_view name, std::string_view help) { head(name, "gauge", help); }

void Exposition::add_row(std::span<const Page* const> pages, Metric metric) {
  const Row& row = row_of(metric);
  if (row.per_worker) {
    for (size_t slot = 0; slot < pages.size(); ++slot) {
      if (pages[slot]->get(Metric::Workers) == 0) continue;
      std::string labels = label("slot", std::to_string(slot));
      if (*row.labels != '\0') (labels += ',') += row.labels;
      line(row.name, labels, value_text(row, pages[slot]->get(metric)));
    }
    return;
  }
  const std::string name = row.kind == Kind::Counter ? std::string(row.name) + "_total" : row.name;
  line(name, row.labels, value_text(row, sum(pages, metric)));
  if (row.kind == Kind::Counter) created(row.name, row.labels);
}

void Exposition::add_histogram(std::span<const Page* const> pages, Histogram histogram) {
  const HistogramRow& row = row_of(histogram);
  head(row.name, "histogram", row.help);
  const std::string name = row.name;
  uint64_t buckets[kBucketsMax + 1] = {};
  uint64_t sum_us = 0;
  for (const Page* page : pages) {
    const Page::Distribution& from = page->distributions[static_cast<size_t>(histogram)];
    for (size_t i = 0; i <= row.bounds_us.size(); ++i) buckets[i] += from.buckets[i].load(std::memory_order_relaxed);
    sum_us += from.sum_us.load(std::memory_order_relaxed);
  }
  uint64_t count = 0;
  for (size_t i = 0; i <= row.bounds_us.size(); ++i) {
    count += buckets[i];
    const std::string bound = i < row.bounds_us.size() ? bound_text(row.bounds_us[i]) : "+Inf";
    line(name + "_bucket", label("le", bound), std::to_string(count));
  }
  line(name + "_sum", {}, seconds(sum_us));
  line(name + "_count", {}, std::to_string(count));
  created(name, {});
}

void Exposition::add_pages(std::span<const Page* const> pages) {
  std::string_view family;
  for (size_t i = 0; i < static_cast<size_t>(Metric::kCount); ++i) {
    const auto metric = static_cast<Metric>(i);
    const Row& row = row_of(metric);
    if (row.name != family) head(row.name, row.kind == Kind::Gauge ? "gauge" : "counter", row.help);
    family = row.name;
    add_row(pages, metric);
  }
  for (size_t i = 0; i < static_cast<size_t>(Histogram::kCount); ++i) add_histogram(pages, static_cast<Histogram>(i));
}

std::string Exposition::finish() && {
  if (format_ == Format::OpenMetrics) text_ += "# EOF\n";
  return std::move(text_);
}

}  // namespace beamgate::metrics
