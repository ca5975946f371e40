// The page to try the service in a browser, at GET /v1/: page.html, which CMake puts into the
// program.
#pragma once

#include <string>
#include <string_view>

namespace heddle::messaging {

inline constexpr std::string_view kPagePath = "/v1/";

extern const std::string_view kPage;

// Its Content-Security-Policy: nothing runs but the page's own script, known by its hash, and
// nothing is asked but the server that the page came from.
const std::string& page_policy();

}  // namespace heddle::messaging
