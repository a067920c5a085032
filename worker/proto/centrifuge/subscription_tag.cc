#include "worker/proto/centrifuge/subscription_tag.h"

#include "common/json/value.h"

namespace beamgate::proto::centrifuge {

std::string SubscriptionTag::text() const {
  json::Value value;
  if (command != 0) value.set("id", command);
  if (by_server) value.set("server", true);
  if (quiet) value.set("quiet", true);
  if (recover) value.set("recover", true);
  if (offset != 0) value.set("offset", offset);
  if (!epoch.empty()) value.set("epoch", epoch);
  if (strict) value.set("strict", true);
  if (expires_s != 0) value.set("expires", expires_s);
  return value.is_null() ? std::string() : value.dump();
}

SubscriptionTag parse_tag(std::string_view text) {
  SubscriptionTag tag;
  const auto parsed = text.empty() ? Result<json::Value>(json::Value()) : json::parse(text);
  if (!parsed) return tag;
  const json::Value& value = parsed.value();
  tag.command = value.get_uint("id").value_or(0);
  tag.by_server = value.get_bool("server").value_or(false);
  tag.quiet = value.get_bool("quiet").value_or(false);
  tag.recover = value.get_bool("recover").value_or(false);
  tag.offset = value.get_uint("offset").value_or(0);
  tag.epoch = value.get_string("epoch").value_or("");
  tag.strict = value.get_bool("strict").value_or(false);
  tag.expires_s = value.get_int("expires").value_or(0);
  return tag;
}

}  // namespace beamgate::proto::centrifuge
