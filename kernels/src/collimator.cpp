#include "collimator.hpp"
