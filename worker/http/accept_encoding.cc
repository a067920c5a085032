#include "worker/http/accept_encoding.h"

#include <algorithm>
#include <optional>

#include "common/base/bytes.h"
#include "worker/http/grammar.h"

namespace beamgate::http {
namespace {

constexpr int kWeightMax = 1'000;

// "0", "0.5", "1.000", in thousandths.
std::optional<int> parse_weight(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return {};
  if (text.size() > 1 && text[1] != '.') return {};
  int weight = (text[0] - '0') * kWeightMax;
  int unit = kWeightMax / 10;
  for (size_t i = 2; i < text.size(); ++i, unit /= 10) {
    if (!is_digit(text[i])) return {};
    weight += (text[i] - '0') * unit;
  }
  return weight <= kWeightMax ? std::optional<int>(weight) : std::nullopt;
}

struct Weights {
  std::optional<int> gzip;
  std::optional<int> identity;
  std::optional<int> any;

  // "gzip ; q=0.5"
  void add(std::string_view member) {
    const size_t semicolon = member.find(';');
    const std::string_view coding = trim(member.substr(0, semicolon));
    int weight = kWeightMax;
    if (semicolon != std::string_view::npos) {
      const std::string_view parameter = trim(member.substr(semicolon + 1));
      if (parameter.size() < 2 || !iequals(parameter.substr(0, 2), "q=")) return;
      const std::optional<int> said = parse_weight(parameter.substr(2));
      if (!said.has_value()) return;
      weight = *said;
    }
    if (iequals(coding, "gzip") || iequals(coding, "x-gzip")) keep(gzip, weight);
    if (iequals(coding, "identity")) keep(identity, weight);
    if (coding == "*") keep(any, weight);
  }

 private:
  // Of two words on one coding, the refusal counts.
  static void keep(std::optional<int>& known, int weight) { known = std::min(known.value_or(weight), weight); }
};

}  // namespace

bool accepts_gzip(const Request& request) {
  Weights weights;
  for (const Field& field : request.fields) {
    if (!iequals(field.name, "accept-encoding")) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      weights.add(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  const int gzip = weights.gzip.value_or(weights.any.value_or(0));
  return gzip > 0 && gzip >= weights.identity.value_or(0);
}

}  // namespace beamgate::http
