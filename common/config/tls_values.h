// TLS values: setters that the directives towards clients and towards servers share.
#pragma once

#include "common/config/store.h"

namespace beamgate::config {

// The Mozilla intermediate profile, version 5.7.
inline constexpr std::string_view kTlsCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305";

// Reads the file of argument 0; the dump names it by its absolute path and brings its bytes.
inline bool read_tls_file(Setting& setting, tls::File& file) {
  file = {};
  file.path = setting.path(0);
  return setting.loader.read_file(file.path, setting.at(0), file.bytes);
}

// OpenSSL alone can tell whether they are any; it is asked at the end of the block, and what it says belongs here.
template <auto... Path>
void store_ciphers(Setting& setting) {
  store_word<Path...>(setting);
  setting.loader.words_at[setting.arg()] = setting.at(0);
}

template <auto... Path>
void store_tls_file(Setting& setting) {
  read_tls_file(setting, reach<Path...>(setting));
}

// A list of files; the first directive of a block replaces what was inherited.
template <auto... Path>
void add_tls_file(Setting& setting) {
  std::vector<tls::File>& files = reach<Path...>(setting);
  if (setting.first(setting.row.name)) files.clear();
  // An unreadable one has its place too, so that the others have theirs.
  read_tls_file(setting, files.emplace_back());
}

// Older versions are refused: nobody should speak them any more (RFC 8996).
template <auto... Path>
void store_protocols(Setting& setting) {
  tls::Protocols protocols = 0;
  for (size_t i = 0; i < setting.count(); ++i) {
    if (setting.arg(i) == "TLSv1.2") {
      protocols |= tls::kTls12;
    } else if (setting.arg(i) == "TLSv1.3") {
      protocols |= tls::kTls13;
    } else {
      return setting.fail(i, "expected \"TLSv1.2\" or \"TLSv1.3\"; older versions are not supported");
    }
  }
  reach<Path...>(setting) = protocols;
}

}  // namespace beamgate::config
