"""The state of one session of the app: the only room that touches ``st.session_state``.

``parameters`` lists the values that the URL holds, ``url`` ties them to it, ``selection`` holds the
choices of the sidebar, ``trail`` the selected item and the ones before it. The other modules hold
what the URL does not: clicks, a lasso, the uploaded image, switches.
"""
