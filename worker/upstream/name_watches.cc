#include "worker/upstream/name_watches.h"

#include <algorithm>

#include "common/base/clock.h"

namespace beamgate::upstream {

using metrics::Metric;

class NameWatches::Watch final : public DeadlineTarget {
 public:
  Watch(NameWatches& all, Group& group, std::string name)
      : DeadlineTarget(all.deadlines_), all_(all), group_(group), name_(std::move(name)) {
    set_deadline(monotonic_ms());
  }
  ~Watch() override { all_.resolver_.cancel(question_); }

 private:
  void on_deadline() override {
    all_.metrics_.add(Metric::UpstreamResolutions);
    question_ = all_.resolver_.resolve(name_, [this](const Result<Resolver::Answer>& answer) { take(answer); });
  }

  void take(const Result<Resolver::Answer>& answer) {
    const int64_t now_ms = monotonic_ms();
    if (!answer.ok()) {
      all_.metrics_.add(Metric::UpstreamResolutionsFailed);
      all_.log_.warn("upstream_not_resolved", {{"upstream", group_.upstream().name},
                                               {"name", name_},
                                               {"error", answer.error().message()}});
      return set_deadline(now_ms + (all_.valid_ms_ == 0 ? kRetryMs : std::min(kRetryMs, all_.valid_ms_)));
    }
    const int64_t said_ms = std::clamp(answer.value().ttl_ms, kValidMsMin, kValidMsMax);
    set_deadline(now_ms + (all_.valid_ms_ == 0 ? said_ms : all_.valid_ms_));
    if (group_.set_addresses(name_, answer.value().addresses)) all_.checks_.follow(group_);
  }

  NameWatches& all_;
  Group& group_;
  const std::string name_;
  Resolver::Id question_ = 0;
};

NameWatches::NameWatches(Deadlines& deadlines, Resolver& resolver, HealthChecks& checks, log::Log& log,
                         metrics::Page& metrics)
    : deadlines_(deadlines), resolver_(resolver), checks_(checks), log_(log), metrics_(metrics) {}

NameWatches::~NameWatches() = default;

void NameWatches::configure(const config::Resolver& resolver) {
  watches_.clear();
  resolver_.configure(resolver);
  valid_ms_ = resolver.valid_ms;
}

void NameWatches::follow(Group& group) {
  for (const std::string& name : group.names()) {
    auto& watch = watches_[{group.upstream().name, name}];
    watch = std::make_unique<Watch>(*this, group, name);
  }
}

}  // namespace beamgate::upstream
