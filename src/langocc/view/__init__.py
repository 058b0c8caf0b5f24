# SPDX-License-Identifier: Apache-2.0
"""What people look at: pictures, the report page, the viewer with a text box."""
