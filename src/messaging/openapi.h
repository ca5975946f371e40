// The OpenAPI 3.1 document of the message service: GET /v1/openapi.json.
#pragma once

#include <string>

namespace heddle::messaging {

// Made once; JSON.
const std::string& openapi_document();

}  // namespace heddle::messaging
